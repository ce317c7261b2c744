//! `fsdfs disk`: the disks of this node, and new ones in the place of lost ones.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use fsdfs_node::config::Config;
use fsdfs_node::daemon;
use fsdfs_node::home::{HomeError, LockedHome};
use fsdfs_node::store::{Store, StoreError};
use fsdfs_proto::control::{DiskListing, ErrorCode, NewDisk, NewDiskReply};

use crate::app::AppContext;
use crate::outcome::{CliError, CliResult, ExitStatus, problem};
use crate::text::table::{ColumnAlign, TextTable};
use crate::text::{escape, human};
use crate::verbs::status;

/// Show the disks of this node; begin a new one in the place of a lost one.
#[derive(Args, Clone, Debug)]
pub struct DiskCommand {
    #[command(subcommand)]
    action: Option<DiskAction>,
}

#[derive(Subcommand, Clone, Debug)]
enum DiskAction {
    /// Begin a new disk in a storage folder whose disk is lost.
    ///
    /// The disk was replaced, or wiped: mount the new one at the path that config.toml has, then give that path. The new disk has the
    /// place and the id of the lost one, at once if the node runs. What belongs on it comes from the other members by itself, until
    /// every block has its copies again. A folder with a disk that can be read, or with blocks, is refused and left as it is.
    New {
        /// The folder, as config.toml has it.
        path: PathBuf,
    },
}

impl DiskCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let Some(DiskAction::New { path }) = self.action else { return list(app).await };
        let path = std::path::absolute(&path).unwrap_or(path);
        if !app.home.dir().exists() {
            return Err(app.of_home(&HomeError::NoPool(app.home.dir().to_owned())));
        }
        let begun = match app.home.lock() {
            Ok(home) => begin_now(app, &home, &path)?,
            Err(HomeError::InUse { .. }) => {
                let Some(text) = path.to_str() else {
                    return problem("the path is not UTF-8", "end the node, then say it again");
                };
                let api = app.api()?;
                api.client().begin_disk(&NewDisk { path: text.to_owned() }).await.map_err(|error| api.stop(&error))?
            }
            Err(error) => return Err(app.of_home(&error)),
        };
        app.output.done(&begun, app.program.in_hint(&begun_text(&begun))).map(|()| ExitStatus::Fine)
    }
}

async fn list(app: &AppContext) -> CliResult {
    let api = app.api()?;
    let listing = api.client().disks().await.map_err(|error| api.stop(&error))?;
    let is_fine = listing.disks.iter().all(|disk| !disk.read_only);
    app.output.result(&listing, listed(&listing))?;
    Ok(if is_fine { ExitStatus::Fine } else { ExitStatus::Attention })
}

fn listed(listing: &DiskListing) -> String {
    let mut table = TextTable::new(&[
        ("DISK", ColumnAlign::Left),
        ("STATE", ColumnAlign::Left),
        ("QUOTA", ColumnAlign::Right),
        ("USED", ColumnAlign::Right),
        ("LEFT", ColumnAlign::Right),
        ("BLOCKS", ColumnAlign::Right),
    ]);
    for disk in &listing.disks {
        let path = escape::name(disk.path.as_deref().unwrap_or(&disk.id).as_bytes());
        let state = status::condition(disk).trim_start_matches(", ");
        let state = if state.is_empty() { "good" } else { state }.to_owned();
        let [quota, used, left] = [disk.quota_bytes, disk.used_bytes, disk.free_bytes].map(human::size);
        table.row([path, state, quota, used, left, disk.blocks.to_string()]);
    }
    if listing.disks.is_empty() { "This node stores no blocks.\n".into() } else { table.to_string() }
}

/// The node does not run: what the next start finds is made now.
fn begin_now(app: &AppContext, home: &LockedHome, path: &Path) -> CliResult<NewDiskReply> {
    let of_home = |error: &HomeError| app.of_home(error);
    let config = Config::load(home.dir()).map_err(|error| of_home(&error.into()))?;
    let identity = home.identity().map_err(|error| of_home(&error))?;
    let store = daemon::store_config(home, &config, &identity);
    let begun = Store::begin_disk_of(&store, path).map_err(|error| refused(app, &error))?;
    Ok(NewDiskReply {
        path: path.to_string_lossy().into_owned(),
        id: begun.disk.to_string(),
        given_up: begun.given_up.iter().map(ToString::to_string).collect(),
        pulled: None,
    })
}

fn refused(app: &AppContext, error: &StoreError) -> CliError {
    let code = if matches!(error, StoreError::Unusable { .. }) { ErrorCode::Disk } else { ErrorCode::Exists };
    let next = format!("nothing was changed; the folders of this node: {}", app.program.command("config check"));
    CliError { code: Some(code), ..CliError::new(app.program.in_hint(&error.to_string()), next) }
}

fn begun_text(begun: &NewDiskReply) -> String {
    let path = escape::name(begun.path.as_bytes());
    let mut text = format!("{path} is a new disk ({})", begun.id.get(..8).unwrap_or(&begun.id));
    if begun.given_up == [begun.id.as_str()] {
        text += " in the place of the lost one";
    } else if !begun.given_up.is_empty() {
        let lost: Vec<&str> = begun.given_up.iter().map(|id| id.get(..8).unwrap_or(id)).collect();
        text += &format!("; given up: {}", lost.join(", "));
    }
    text += &match begun.pulled {
        None => {
            "\nwhat belongs on it comes from the other members when this node runs and has met them: 'fsdfs up'".into()
        }
        Some(pulled) if pulled.blocks == 0 => {
            "\nnothing is to be pulled from the members that are connected now; see: 'fsdfs status'".to_owned()
        }
        Some(pulled) => format!(
            "\n{}{}, {} are pulled from other members; see: 'fsdfs status'",
            if pulled.estimated { "about " } else { "" },
            human::count(pulled.blocks, "block", "blocks"),
            human::size(pulled.bytes)
        ),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use fsdfs_proto::control::{BlocksToPull, DiskCondition, DiskStatus};

    #[test]
    fn each_disk_is_shown_with_its_state() {
        let disk = |path: &str, condition| DiskStatus {
            path: Some(path.into()),
            quota_bytes: 1 << 40,
            condition,
            ..DiskStatus::default()
        };
        let disks = vec![disk("/a", DiskCondition::Good), disk("/b", DiskCondition::Missing)];
        let text = listed(&DiskListing { disks });
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1][..4], ["/a", "good", "1.0", "TiB"], "{text}");
        assert_eq!(rows[2][..4], ["/b", "missing", "1.0", "TiB"], "{text}");
        assert!(listed(&DiskListing { disks: Vec::new() }).contains("no blocks"));
    }

    #[test]
    fn it_is_said_what_is_given_up_and_what_comes() {
        let begun = |pulled| NewDiskReply {
            path: "/a".into(),
            id: "0123456789abcdef".into(),
            given_up: vec!["fedcba9876543210".into()],
            pulled,
        };
        let comes = BlocksToPull { blocks: 12, bytes: 3 << 20, estimated: false };
        let text = begun_text(&begun(Some(comes)));
        assert!(text.starts_with("/a is a new disk (01234567); given up: fedcba98\n12 blocks, 3.0 MiB are"), "{text}");
        assert!(begun_text(&begun(Some(BlocksToPull { estimated: true, ..comes }))).contains("\nabout 12 blocks"));
        assert!(begun_text(&begun(None)).contains("when this node runs"));
        let same = NewDiskReply { given_up: vec!["0123456789abcdef".into()], ..begun(None) };
        assert!(begun_text(&same).starts_with("/a is a new disk (01234567) in the place of the lost one\n"));
    }
}
