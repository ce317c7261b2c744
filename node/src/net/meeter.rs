//! Dialling an address without knowing who answers there: TLS says who it is, the gate judges.

use tokio::sync::{mpsc, oneshot};

use super::command::NetCommand;
use super::discovery::resolve;
use super::findings::MeetOutcome;

/// Addresses of one name tried at most.
const ADDRESSES_MAX: usize = 8;

/// Dials for those who do not hold the network itself.
#[derive(Clone)]
pub struct Meeter(pub(super) mpsc::WeakUnboundedSender<NetCommand>);

impl Meeter {
    /// Dials all addresses of `HOST:PORT`. Ends within about twelve seconds: a lookup, TLS, the gate.
    pub async fn meet(&self, host: String) -> MeetOutcome {
        let addrs = resolve::all(&[host]).await;
        if addrs.is_empty() {
            return MeetOutcome::NoAddress;
        }
        let Some(commands) = self.0.upgrade() else { return MeetOutcome::Nobody };
        let mut answers = Vec::new();
        for addr in addrs.into_iter().take(ADDRESSES_MAX) {
            let (answer, outcome) = oneshot::channel();
            let _ = commands.send(NetCommand::Meet { addr, answer });
            answers.push(outcome);
        }
        drop(commands);
        for answer in answers {
            match answer.await {
                Ok(MeetOutcome::Nobody | MeetOutcome::NoAddress) | Err(_) => {}
                Ok(met) => return met,
            }
        }
        MeetOutcome::Nobody
    }
}
