//! `fsdfs df`: how much fits.

use clap::Args;
use fsdfs_proto::control::{CopiesByNeed, DiskSpace, DiskSpaceListing, DiskStatus, MemberShare, SpaceReport as Answer};

use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus};
use crate::text::table::{ColumnAlign, TextTable};
use crate::text::{escape, human};

/// Show space: what each member offers, the capacity with all copies, and the disks of this node.
#[derive(Args, Clone, Debug)]
pub struct DfCommand {
    /// Show where every byte of this node's storage folders is
    #[arg(long)]
    pub explain: bool,
}

impl DfCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        if self.explain {
            let space = api.client().disk_space().await.map_err(|error| api.stop(&error))?;
            return app.output.result(&space, explained(&space)).map(|()| ExitStatus::Fine);
        }
        let df = api.client().df().await.map_err(|error| api.stop(&error))?;
        app.output.result(&df, shown(&df)).map(|()| ExitStatus::Fine)
    }
}

fn shown(df: &Answer) -> String {
    format!("{}\n{}{}{}{}", pool(df), shares(df), disks(df), stored_by(df), caveats(df))
}

fn pool(df: &Answer) -> String {
    let copies = human::count(df.copies.saturating_sub(df.copies_short).into(), "copy", "copies");
    format!(
        "Capacity of the pool: {} of files in {copies}, {} left. Its members offer {}.",
        human::size(df.usable_bytes),
        if df.free_bytes == 0 { "none".into() } else { human::size(df.free_bytes) },
        human::size(df.offered_bytes)
    )
}

fn shares(df: &Answer) -> String {
    let mut table = TextTable::new(&[
        ("MEMBER", ColumnAlign::Left),
        ("OFFERED", ColumnAlign::Right),
        ("LEFT", ColumnAlign::Right),
        ("STRANDED", ColumnAlign::Right),
    ]);
    for share in &df.offers {
        let stranded = df.stranded.iter().find(|other| other.id == share.id).map_or(0, |other| other.bytes);
        let stranded = if stranded == 0 { String::new() } else { human::size(stranded) };
        let left = df.free.iter().find(|other| other.id == share.id).map_or(0, |other| other.bytes);
        table.row([name(share), human::size(share.bytes), human::size(left), stranded]);
    }
    table.to_string()
}

fn name(share: &MemberShare) -> String {
    escape::name(share.name.as_bytes())
}

fn disks(df: &Answer) -> String {
    let right = ColumnAlign::Right;
    let columns =
        [("QUOTA", right), ("USED", right), ("LIVE", right), ("INDEX", right), ("RESERVE", right), ("LEFT", right)];
    let mut table = TextTable::new(&[&[("DISK OF THIS NODE", ColumnAlign::Left)], columns.as_slice()].concat());
    for disk in &df.disks {
        let path = escape::name(disk.path.as_deref().unwrap_or(&disk.id).as_bytes());
        let DiskStatus { quota_bytes, used_bytes, live_bytes, index_bytes, reserve_bytes, free_bytes, .. } = *disk;
        let sizes = [quota_bytes, used_bytes, live_bytes, index_bytes, reserve_bytes, free_bytes];
        table.row(std::iter::once(path).chain(sizes.map(human::size)));
    }
    if df.disks.is_empty() { "This node stores no blocks.\n".into() } else { table.to_string() }
}

/// Where every byte of the disks is.
fn explained(space: &DiskSpaceListing) -> String {
    if space.disks.is_empty() {
        return "This node stores no blocks.\n".into();
    }
    let disks = space.disks.iter().map(explained_disk).collect::<Vec<_>>().join("\n");
    let Some(copies) = &space.copies else {
        return format!(
            "{disks}\nWhat the copies are for is known when this node has looked at all of them: within some hours of its start.\n"
        );
    };
    format!("{disks}\n{}", explained_copies(copies))
}

/// What they are for.
fn explained_copies(copies: &CopiesByNeed) -> String {
    let mut table = TextTable::plain(&[ColumnAlign::Left, ColumnAlign::Right, ColumnAlign::Left]);
    let unneeded = if copies.collects {
        "needed by nothing: being deleted"
    } else {
        "needed by nothing: kept, as [space] collect is not set in config.toml"
    };
    let rows = [
        ("files now", copies.current_bytes, "needed by what stands now"),
        ("history", copies.history_bytes, "needed by earlier states only: 'fsdfs snapshots'"),
        ("young", copies.young_bytes, "needed by nothing yet: an upload under way, or removed lately"),
        (
            "waiting",
            copies.unheard_bytes,
            "needed by nothing known: some member was not heard since, see 'fsdfs members'",
        ),
        ("unneeded", copies.unneeded_bytes, unneeded),
        ("damaged", copies.damaged_bytes, "their bytes are wrong"),
        ("freed", copies.freed_bytes, "deleted since this node started"),
    ];
    for (name, bytes, what) in rows {
        table.row([name.into(), human::size(bytes), what.into()]);
    }
    let missing = match copies.missing.len() {
        0 => String::new(),
        count => format!("{count} blocks of folders or files are missing: until they are found nothing is deleted.\n"),
    };
    format!("COPIES\n{table}{missing}")
}

fn explained_disk(disk: &DiskSpace) -> String {
    let mut table = TextTable::plain(&[ColumnAlign::Left, ColumnAlign::Right, ColumnAlign::Left]);
    let rows = [
        ("blocks", disk.live_bytes, "copies that are kept, and what is known of them"),
        ("being collected", disk.condemned_bytes, "copies that are about to be deleted"),
        ("dead", disk.dead_bytes, "deleted or superseded; freed when that is worth the copying"),
        ("index", disk.index_bytes, "where each block lies"),
        ("log", disk.log_bytes, "what the members say, once more"),
        ("other", disk.other_bytes, "everything else in the folder"),
        ("used", disk.used_bytes, "all of these: what 'du --apparent-size' says"),
        ("reserve", disk.reserve_bytes, "kept free, for removals and for freeing space"),
        ("quota", disk.quota_bytes, ""),
    ];
    for (name, bytes, what) in rows {
        table.row([name.into(), human::size(bytes), what.into()]);
    }
    format!("{}\n{table}", escape::name(disk.path.as_bytes()))
}

/// Who put what lies on the disks of this node: whoever fills them is seen.
fn stored_by(df: &Answer) -> String {
    let mut table = TextTable::new(&[("STORED HERE BY", ColumnAlign::Left), ("SIZE", ColumnAlign::Right)]);
    for share in &df.stored_by {
        table.row([name(share), human::size(share.bytes)]);
    }
    if df.stored_by.is_empty() { String::new() } else { table.to_string() }
}

fn caveats(df: &Answer) -> String {
    let mut text = String::new();
    if df.copies_short > 0 {
        let missing = human::count(df.copies_short.into(), "more server", "more servers");
        text += &format!("! {} copies of each file are required, which takes {missing} with free space\n", df.copies);
    }
    if df.sites_short > 0 {
        let missing = human::count(df.sites_short.into(), "more site", "more sites");
        text += &format!("! some copies share a site and can fail together; {missing} would prevent that\n");
    }
    let with_room = df.free.iter().filter(|share| share.bytes > 0).count();
    let copies = df.copies.saturating_sub(df.copies_short);
    if with_room < copies.into() && !df.offers.is_empty() {
        text += &match with_room {
            0 => "! no member has room: new files are refused; names can still be removed\n".to_owned(),
            _ => format!("! new files get {with_room} of {copies} copies: the other members have no capacity left\n"),
        };
        text += "  Give a larger size in config.toml and restart the node, add a storage folder, or invite a member with \
                 storage.\n";
    }
    if !df.stranded.is_empty() {
        text +=
            "  Stranded space cannot be used: no other member offers as much, and two copies never share a server.\n";
    }
    text + "  Removing files frees no space yet.\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(left_gib: [u64; 2]) -> Answer {
        let share = |name: &str, gib: u64| MemberShare { id: name.into(), name: name.into(), bytes: gib << 30 };
        Answer {
            copies: 3,
            offered_bytes: 12 << 30,
            usable_bytes: 2 << 30,
            free_bytes: left_gib[1] << 30,
            copies_short: 1,
            sites_short: 0,
            stranded: vec![share("anna", 8)],
            offers: vec![share("anna", 10), share("bob", 2)],
            free: vec![share("anna", left_gib[0]), share("bob", left_gib[1])],
            disks: vec![DiskStatus {
                id: "d".into(),
                path: Some("/blocks".into()),
                quota_bytes: 10 << 30,
                used_bytes: 3 << 30,
                live_bytes: 2 << 30,
                reserve_bytes: 1 << 30,
                free_bytes: left_gib[0] << 30,
                read_only: false,
                ..DiskStatus::default()
            }],
            stored_by: vec![share("anna", 1), share("eve", 1)],
        }
    }

    #[test]
    fn space_and_what_is_missing() {
        assert_eq!(
            shown(&report([6, 1])),
            "Capacity of the pool: 2.0 GiB of files in 2 copies, 1.0 GiB left. Its members offer 12.0 GiB.\n\
             MEMBER   OFFERED     LEFT  STRANDED\n\
             anna    10.0 GiB  6.0 GiB   8.0 GiB\n\
             bob      2.0 GiB  1.0 GiB\n\
             DISK OF THIS NODE     QUOTA     USED     LIVE  INDEX  RESERVE     LEFT\n\
             /blocks            10.0 GiB  3.0 GiB  2.0 GiB    0 B  1.0 GiB  6.0 GiB\n\
             STORED HERE BY     SIZE\n\
             anna            1.0 GiB\n\
             eve             1.0 GiB\n\
             ! 3 copies of each file are required, which takes 1 more server with free space\n\
             \x20 Stranded space cannot be used: no other member offers as much, and two copies never share a server.\n\
             \x20 Removing files frees no space yet.\n"
        );
    }

    #[test]
    fn every_byte_of_a_folder_is_told() {
        let disk = DiskSpace {
            path: "/blocks".into(),
            quota_bytes: 10 << 30,
            used_bytes: (3 << 30) + (16 << 10),
            live_bytes: 2 << 30,
            condemned_bytes: 512 << 20,
            dead_bytes: 256 << 20,
            index_bytes: 192 << 20,
            log_bytes: 64 << 20,
            other_bytes: 16 << 10,
            reserve_bytes: 512 << 20,
            ..DiskSpace::default()
        };
        assert_eq!(
            explained_disk(&disk),
            "/blocks\n\
             blocks             2.0 GiB  copies that are kept, and what is known of them\n\
             being collected  512.0 MiB  copies that are about to be deleted\n\
             dead             256.0 MiB  deleted or superseded; freed when that is worth the copying\n\
             index            192.0 MiB  where each block lies\n\
             log               64.0 MiB  what the members say, once more\n\
             other             16.0 KiB  everything else in the folder\n\
             used               3.0 GiB  all of these: what 'du --apparent-size' says\n\
             reserve          512.0 MiB  kept free, for removals and for freeing space\n\
             quota             10.0 GiB\n"
        );
        assert_eq!(explained(&DiskSpaceListing::default()), "This node stores no blocks.\n");
        let copies = CopiesByNeed { current_bytes: 1 << 30, unneeded_bytes: 2 << 30, ..CopiesByNeed::default() };
        let some = explained(&DiskSpaceListing { disks: vec![disk.clone()], copies: Some(copies.clone()) });
        assert!(some.contains("unneeded   2.0 GiB  needed by nothing: kept, as [space] collect is not set"), "{some}");
        let missing = CopiesByNeed { collects: true, missing: vec!["ab".into()], ..copies };
        let lacks = explained(&DiskSpaceListing { disks: vec![disk.clone()], copies: Some(missing) });
        assert!(
            lacks.contains("being deleted") && lacks.contains("1 blocks of folders or files are missing"),
            "{lacks}"
        );
        let early = explained(&DiskSpaceListing { disks: vec![disk], copies: None });
        assert!(early.contains("within some hours of its start"), "{early}");
    }

    #[test]
    fn a_full_pool_says_so_and_what_helps() {
        let some = shown(&report([6, 0]));
        assert!(some.contains(" in 2 copies, none left."), "{some}");
        assert!(some.contains("\n! new files get 1 of 2 copies: the other members have no capacity left\n"), "{some}");
        let none = shown(&report([0, 0]));
        assert!(
            none.contains("\n! no member has room: new files are refused; names can still be removed\n  Give a "),
            "{none}"
        );
    }
}
