//! `fsdfs drain` and `fsdfs leave`: ending a node without losing anything.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use fsdfs_proto::control::{DiskDrainAnswer, DiskDrainChange, DrainAnswer, MemberEntry};

use crate::api::DaemonApi;
use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus, problem};
use crate::text::{escape, human};

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_secs(2);
/// Between two lines about it.
const SAY: Duration = Duration::from_secs(30);

/// Hand over all that this node holds to the other members, or empty one of its disks; and say how far that is.
///
/// Placement gives this node nothing from now on, also after a restart, until `fsdfs drain --undo`; it goes on serving what it
/// has, and its users go on reading and writing. Nothing is deleted here. It "may be unplugged" when every block on it was found
/// with all members that it is assigned to, since the last thing that was written, and no change is on this node only. Exit code 0:
/// it may be unplugged; 1: not yet.
///
/// With --disk only that disk is emptied: what is on it is copied to the other disks of this node, nothing new comes there, also
/// after a restart, and the node goes on as a holder of what its other disks offer. The disk "may be unplugged" when everything on
/// it was found on another disk of this node, since the last thing that was written there. Nothing is deleted from it.
#[derive(Args, Clone, Debug)]
pub struct DrainCommand {
    /// Empty this disk only: its folder, as config.toml has it.
    #[arg(long, value_name = "PATH")]
    disk: Option<PathBuf>,
    /// Be a holder again, as before.
    #[arg(long, conflicts_with = "wait")]
    undo: bool,
    /// Return when it may be unplugged.
    #[arg(long)]
    wait: bool,
}

/// Leave the pool for good: hand over all that this node holds, then remove it from the pool.
///
/// As long as something is not with all members that it is assigned to, nothing is removed, and the number of blocks that are left
/// is shown (exit code 1); run it again, or with --wait. Files that this node put stay in the pool. Leaving cannot be undone:
/// to come back it needs a new home folder and a new invitation.
#[derive(Args, Clone, Debug)]
pub struct LeaveCommand {
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Wait until all is handed over.
    #[arg(long)]
    wait: bool,
}

impl DrainCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        if let Some(disk) = &self.disk {
            return self.of_disk(app, disk).await;
        }
        let api = app.api()?;
        let mut drain = api.client().change_drain(!self.undo).await.map_err(|error| api.stop(&error))?;
        if self.undo {
            let said =
                if drain.draining { "this node was removed: it stays drained" } else { "this node is a holder again" };
            return app.output.done(&drain, said).map(|()| ExitStatus::Fine);
        }
        if self.wait {
            drain = until_drained(app, &api).await?;
        }
        app.output.result(&drain, app.program.in_hint(&(shown(&drain) + "\n")))?;
        Ok(if drain.may_be_unplugged { ExitStatus::Fine } else { ExitStatus::Attention })
    }
}

impl DrainCommand {
    async fn of_disk(&self, app: &AppContext, disk: &Path) -> CliResult {
        let path = std::path::absolute(disk).unwrap_or_else(|_| disk.to_owned());
        let Some(path) = path.to_str() else {
            return problem("the path is not UTF-8", "name the disk by another path in config.toml");
        };
        let api = app.api()?;
        let change = DiskDrainChange { path: path.to_owned(), drain: !self.undo };
        let mut drain = api.client().change_disk_drain(&change).await.map_err(|error| api.stop(&error))?;
        if self.undo {
            let said = format!("{} takes blocks again", escape::name(drain.path.as_bytes()));
            return app.output.done(&drain, said).map(|()| ExitStatus::Fine);
        }
        let mut said: Option<Instant> = None;
        while self.wait && !drain.may_be_unplugged {
            if said.is_none_or(|at| at.elapsed() >= SAY) {
                app.output.note(&disk_shown(&drain));
                said = Some(Instant::now());
            }
            tokio::time::sleep(LOOK).await;
            let all = api.client().disk_drains().await.map_err(|error| api.stop(&error))?.disks;
            let Some(now) = all.into_iter().find(|disk| disk.path == path) else {
                return problem("the disk is not emptied any more, or is gone", "run it again to go on");
            };
            drain = now;
        }
        app.output.result(&drain, app.program.in_hint(&(disk_shown(&drain) + "\n")))?;
        Ok(if drain.may_be_unplugged { ExitStatus::Fine } else { ExitStatus::Attention })
    }
}

/// How far a disk is.
fn disk_shown(drain: &DiskDrainAnswer) -> String {
    let path = escape::name(drain.path.as_bytes());
    let mut text = if drain.may_be_unplugged {
        format!(
            "{path} may be unplugged: everything on it is on another disk of this node, too; take it out of config.toml when you do"
        )
    } else if !drain.counted {
        "not yet: what is left is being counted".to_owned()
    } else {
        let blocks = human::count(drain.blocks_left, "block", "blocks");
        let mut line = format!("not yet: {blocks}, {} left", human::size(drain.bytes_left));
        if let (Some(rate), Some(seconds)) = (drain.bytes_per_s, drain.seconds_left) {
            line += &format!(", {}, {} left", human::speed(rate), human::span(seconds));
        }
        line
    };
    if drain.stuck {
        text += "\n  the other disks of this node take no more now: they are full, or one of them does not work ('fsdfs disk')";
    }
    if drain.unreadable > 0 {
        let copies = human::count(drain.unreadable, "block", "blocks");
        text += &format!("\n  cannot be read from it any more: {copies}; the copies of other members are used");
    }
    text
}

impl LeaveCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        let members = api.client().members().await.map_err(|error| api.stop(&error))?;
        let Some(me) = members.members.iter().find(|member| member.me) else {
            return problem("this node is no member yet", format!("see: {}", app.program.command("status")));
        };
        let admins = api.client().admins().await.map_err(|error| api.stop(&error))?.admins;
        let is_last_admin = admins.iter().all(|admin| admin.id == me.id) && !admins.is_empty();
        if !self.yes && !agrees(app, me, is_last_admin)? {
            app.output.note("nothing was changed");
            return Ok(ExitStatus::Failed);
        }
        let mut drain = api.client().change_drain(true).await.map_err(|error| api.stop(&error))?;
        if self.wait && !drain.may_be_unplugged {
            drain = until_drained(app, &api).await?;
        }
        if !drain.may_be_unplugged {
            let again = app.program.command_of(["leave", "--wait"]);
            let text = format!("{}\nnot removed: to leave as soon as that is done: {again}\n", shown(&drain));
            app.output.result(&drain, text)?;
            return Ok(ExitStatus::Attention);
        }
        let removed = api.client().remove_member(&me.id).await.map_err(|error| api.stop(&error))?;
        let down = app.program.command("down");
        let mut text = format!("this node has left the pool, and nothing is lost with it; end it: {down}");
        if removed.informed.is_empty() {
            text += "\nno other member was reached: leave it running until one is";
        }
        app.output.done(&removed, text).map(|()| ExitStatus::Fine)
    }
}

/// Looks until the node says that nothing is lost with it.
async fn until_drained(app: &AppContext, api: &DaemonApi) -> CliResult<DrainAnswer> {
    let mut said: Option<Instant> = None;
    loop {
        let drain = api.client().drain().await.map_err(|error| api.stop(&error))?;
        if drain.may_be_unplugged {
            return Ok(drain);
        }
        if !drain.draining {
            return problem("this node is a holder again: somebody ended its draining", "run it again to go on");
        }
        if said.is_none_or(|at| at.elapsed() >= SAY) {
            app.output.note(&shown(&drain));
            said = Some(Instant::now());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What is left, and what it waits for.
fn shown(drain: &DrainAnswer) -> String {
    if drain.may_be_unplugged {
        return "may be unplugged: every block on this node is with all members that it is assigned to".into();
    }
    if !drain.draining {
        return "this node is not drained".into();
    }
    let mut lines = Vec::new();
    if !drain.counted {
        lines.push("not yet: what is left is being counted".to_owned());
    } else if drain.blocks_left > 0 {
        let blocks = human::count(drain.blocks_left, "block", "blocks");
        let mut line = format!("not yet: {blocks}, {} left", human::size(drain.bytes_left));
        if let (Some(rate), Some(seconds)) = (drain.bytes_per_s, drain.seconds_left) {
            line += &format!(", {}, {} left", human::speed(rate), human::span(seconds));
        }
        lines.push(line);
    } else {
        lines.push("not yet: all blocks are handed over".to_owned());
    }
    if drain.puts > 0 {
        lines.push(format!("  under way: {}", human::count(drain.puts, "put or change", "puts or changes")));
    }
    if drain.unpublished {
        lines.push(
            "  some changes are on this node only: they are published when a second server stores their folders".into(),
        );
    }
    if drain.unread_disks > 0 {
        let disks = human::count(drain.unread_disks, "disk", "disks");
        lines.push(format!("  cannot be read: {disks}; what only they have would be lost with them ('fsdfs disk')"));
    }
    let names =
        |names: &[String]| human::list(&names.iter().map(|name| escape::name(name.as_bytes())).collect::<Vec<_>>());
    if !drain.away.is_empty() {
        lines.push(format!("  cannot be reached: {} (dead? 'fsdfs members remove NAME')", names(&drain.away)));
    }
    if !drain.full.is_empty() {
        lines.push(format!("  no capacity: {}", names(&drain.full)));
    }
    lines.join("\n")
}

fn agrees(app: &AppContext, me: &MemberEntry, is_last_admin: bool) -> CliResult<bool> {
    let name = escape::member(&me.name);
    if !io::stdin().is_terminal() {
        return problem(
            "leaving cannot be undone, and there is no terminal to ask on",
            format!("if you are sure: {}", app.program.command_of(["leave", "--yes"])),
        );
    }
    let admin =
        if is_last_admin { "It is the pool's only admin: name another one first, or keep the root key.\n" } else { "" };
    ask(&format!(
        "{admin}{name} leaves the pool for good, once it has handed over what it holds. Its files stay.\nLeave? [y/N] "
    ))
}

/// Yes, or anything else.
pub(super) fn ask(question: &str) -> CliResult<bool> {
    let mut answer = String::new();
    let asked = io::stderr().write_all(question.as_bytes()).and_then(|()| io::stdin().lock().read_line(&mut answer));
    Ok(asked.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_disk_it_is_said_what_is_left_and_why_it_does_not_go_on() {
        let counting = DiskDrainAnswer { path: "/a".into(), draining: true, ..DiskDrainAnswer::default() };
        assert!(disk_shown(&counting).contains("being counted"));
        let stuck =
            DiskDrainAnswer { counted: true, blocks_left: 3, bytes_left: 5 << 20, stuck: true, ..counting.clone() };
        let text = disk_shown(&stuck);
        assert!(text.starts_with("not yet: 3 blocks, 5.0 MiB left\n") && text.contains("take no more now"), "{text}");
        let done = DiskDrainAnswer { counted: true, may_be_unplugged: true, unreadable: 1, ..counting };
        let text = disk_shown(&done);
        assert!(text.starts_with("/a may be unplugged: ") && text.contains("any more: 1 block;"), "{text}");
    }

    #[test]
    fn it_is_said_what_is_left_and_what_is_waited_for() {
        let drain = DrainAnswer {
            draining: true,
            counted: true,
            blocks_left: 1_204,
            bytes_left: 1 << 30,
            bytes_per_s: Some(1 << 20),
            seconds_left: Some(1_024),
            away: vec!["carol".into()],
            ..DrainAnswer::default()
        };
        let text = shown(&drain);
        assert!(text.starts_with("not yet: 1,204 blocks, 1.0 GiB left") || text.contains("1204 blocks"), "{text}");
        assert!(text.contains("cannot be reached: carol"), "{text}");
        assert!(!text.contains("cannot be read"), "{text}");
        let unread = DrainAnswer { draining: true, counted: true, unread_disks: 2, ..DrainAnswer::default() };
        assert!(shown(&unread).contains("cannot be read: 2 disks;"), "{}", shown(&unread));
        assert!(shown(&DrainAnswer { draining: true, ..DrainAnswer::default() }).contains("being counted"));
        let done = DrainAnswer { draining: true, may_be_unplugged: true, counted: true, ..DrainAnswer::default() };
        assert!(shown(&done).starts_with("may be unplugged"));
    }
}
