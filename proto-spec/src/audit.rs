//! What an audit asks with: numbers that nobody can know before they are asked (spec 02-block §6).

use ed25519_dalek::SigningKey;

use crate::ids::Key;
use crate::label;

/// Nonces of one run of a node. Whoever could tell the next one would keep an answer instead of a block.
#[derive(Clone, Debug)]
pub struct AuditNonces {
    secret: Key,
    made: u64,
}

impl AuditNonces {
    /// `run` differs from run to run of this node.
    pub fn new(key: &SigningKey, run: u64) -> Self {
        let mut hash = blake3::Hasher::new_keyed(&key.to_bytes());
        hash.update(label::key::AUDIT_NONCE.as_bytes()).update(&[0]).update(&run.to_be_bytes());
        Self { secret: Key(*hash.finalize().as_bytes()), made: 0 }
    }

    /// The next one.
    pub fn draw(&mut self) -> Key {
        self.made += 1;
        Key(*blake3::keyed_hash(&self.secret.0, &self.made.to_be_bytes()).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_equal_in_a_run_or_in_two_runs() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let (mut one, mut other) = (AuditNonces::new(&key, 1), AuditNonces::new(&key, 2));
        let mut drawn = [one.draw(), one.draw(), other.draw(), other.draw()].map(|key| key.0);
        drawn.sort_unstable();
        assert!(drawn.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
