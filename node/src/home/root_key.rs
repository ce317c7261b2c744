//! The pool's root key, as people keep it: a file with 64 hexadecimal digits, or 24 words on paper (BIP 39, English).

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use bip39::{Language, Mnemonic};
use fsdfs_proto::identity::SecretKey;
use fsdfs_proto::ids::{hex, unhex};
use zeroize::Zeroizing;

use crate::files::{FileError, SECRET, at, sync_parent};

/// Where it lies in the home folder of the node that created the pool, until it is moved away.
pub const ROOT_KEY_FILE: &str = "pool/pool-root.key";
/// The same of the spare key.
pub const SPARE_KEY_FILE: &str = "pool/pool-spare.key";

/// The key as 24 words, of which the last one has a checksum.
pub fn words(key: &SecretKey) -> Zeroizing<String> {
    let words = Mnemonic::from_entropy(key.as_bytes()).expect("32 bytes make 24 words");
    Zeroizing::new(words.to_string())
}

/// Digits or words, as they were typed; none if it is neither, or a word is wrong.
pub fn parse(text: &str) -> Option<SecretKey> {
    let text = Zeroizing::new(text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" "));
    if let Some(bytes) = unhex(text.as_str()) {
        return Some(SecretKey::new(bytes));
    }
    let words = Mnemonic::parse_in_normalized(Language::English, &text).ok()?;
    let (entropy, length) = words.to_entropy_array();
    Some(SecretKey::new(entropy.get(..length)?.try_into().ok()?))
}

/// Writes it into a new file. One that is there may be the key of another pool.
pub fn write_new(path: &Path, key: &SecretKey) -> Result<(), FileError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(SECRET).open(path)?;
        writeln!(file, "{}", hex(key.as_bytes()))?;
        file.sync_all()
    };
    write().map_err(at("write the root key to", path))?;
    sync_parent(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_words_come_back_as_the_same_key() {
        let key = SecretKey::new([0x5a; 32]);
        let words = words(&key);
        assert_eq!(words.split(' ').count(), 24);
        for text in [hex(key.as_bytes()), words.to_string(), format!("  {}\n", words.replace(' ', "\n").to_uppercase())]
        {
            assert_eq!(parse(&text), Some(key.clone()));
        }
        // The first vector of BIP 39 for 32 bytes.
        assert!(super::words(&SecretKey::new([0; 32])).ends_with("abandon art"));
        for wrong in ["", "abandon", "5a5a", &words.replacen(' ', " zoo ", 1), &words[..words.len() - 1]] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_file_that_is_there_is_not_written_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, key) = (folder.path().join("key"), SecretKey::new([1; 32]));
        write_new(&path, &key).expect("new");
        write_new(&path, &SecretKey::new([2; 32])).expect_err("there is one");
        let text = std::fs::read_to_string(&path).expect("written");
        assert_eq!(parse(&text), Some(key));
    }
}
