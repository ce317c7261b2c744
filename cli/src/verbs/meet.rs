//! `fsdfs meet`: finding a friend whose address somebody told.

use clap::Args;
use fsdfs_proto::control::{MeetAnswer, MeetOrder};

use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus};
use crate::text::{escape, parse};

/// Connect to a member at an address that its owner names, when the addresses of all others have changed.
///
/// Nodes remember where their friends were, and hear from each other where they are now. If all moved while all were off, they
/// know nothing that still holds. Then one of you says where it is ('fsdfs status' shows it under 'reachable at'), on the
/// telephone for example, and one other types it here: from these two the rest hear it. What answers there has to be a
/// member of the pool; it is remembered.
#[derive(Args, Clone, Debug)]
pub struct MeetCommand {
    /// Where the friend's node is.
    #[arg(value_name = "HOST:PORT", value_parser = parse::address)]
    address: String,
}

impl MeetCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        let order = MeetOrder { address: self.address };
        let met = api.client().meet(&order).await.map_err(|error| api.stop(&error))?;
        app.output.done(&met, told(&met, &order.address)).map(|()| ExitStatus::Fine)
    }
}

fn told(met: &MeetAnswer, address: &str) -> String {
    let name = escape::name(met.name.as_bytes());
    match met.was_connected {
        true => format!("{name} is at {address}, and was connected before"),
        false => format!("met {name} at {address}; it tells the others"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_harmless() {
        let met = MeetAnswer { id: "ab".into(), name: "bob\u{1b}".into(), was_connected: false };
        assert_eq!(told(&met, "a:1"), "met bob\\x1b at a:1; it tells the others");
        assert_eq!(
            told(&MeetAnswer { was_connected: true, ..met }, "a:1"),
            "bob\\x1b is at a:1, and was connected before"
        );
    }
}
