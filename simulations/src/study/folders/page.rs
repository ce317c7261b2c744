//! What the study of folders says.

use fsdfs_core::tree::TreeParams;

use super::costs::{CALLERS, FOLDERS, FolderCosts};
use super::volume::WriteCost;
use crate::study::page::{PageData, PagePart, StudyPage};
use crate::study::text::grouped;

const KIB: f64 = 1024.0;

pub fn page(all: &[FolderCosts]) -> StudyPage {
    let ours =
        all.iter().find(|costs| costs.params == TreeParams::DEFAULT).expect("what pools use is one of the choices");
    let (bulk, bytes) = ours.bulk;
    StudyPage {
        name: "folders",
        title: "What do small files cost?",
        answer: format!(
            "With leaves of {} KiB, {} KiB above them and files of up to {} KiB in their entries, 20,000 files of 10 to 3,000 bytes that are put at once cost {:.2} times their bytes on each node and {:.2} times on the wire to each other holder; one more file costs {:.0} KiB in a folder of 10,000.",
            ours.params.nodes.leaf_bytes >> 10,
            ours.params.nodes.interior_bytes >> 10,
            ours.params.inline_bytes >> 10,
            ratio(bulk.appended, bytes),
            ratio(bulk.sent, bytes),
            single(&ours.singles[1])
        ),
        findings: vec![
            "Larger leaves cost a little less when many files are put at once, and in proportion to their size when one is written.".into(),
            "Nodes above the leaves are written with every change, too, and hold a hundred names in 8 KiB; so they are smaller.".into(),
        ],
        parts: vec![
            PagePart::Text("Bytes on each node, with the heads of records. `single` and `change` are one write in a commit of its own; `8 callers` is one of eight that share a commit and write 4 KiB to folders of their own.".into()),
            PagePart::Table(table(all)),
        ],
        data: vec![data(all)],
    }
}

fn ratio(cost: u64, bytes: u64) -> f64 {
    cost as f64 / bytes as f64
}

/// KiB on a node of one of the writes.
fn single(cost: &WriteCost) -> f64 {
    cost.appended as f64 / cost.commits as f64 / KIB
}

fn sizes(params: &TreeParams) -> [String; 3] {
    [params.nodes.leaf_bytes, params.nodes.interior_bytes, params.inline_bytes].map(|bytes| (bytes >> 10).to_string())
}

fn table(all: &[FolderCosts]) -> PageData {
    let singles = FOLDERS.map(|names| format!("single into {}, KiB", grouped(names)));
    let head = ["leaf, KiB", "above, KiB", "in the entry, KiB", "bulk: appended / bytes", "sent / bytes", "blocks"];
    let last =
        ["change of one, KiB", "8 callers, KiB each", "home folder: appended / bytes", "blocks", "change in it, KiB"];
    let head = head.map(str::to_owned).into_iter().chain(singles).chain(last.map(str::to_owned));
    let mut table = PageData::new("costs", head);
    for costs in all {
        let (bulk, bytes) = costs.bulk;
        let (home, home_bytes) = costs.home;
        let mut row = Vec::from(sizes(&costs.params));
        row.push(format!("{:.3}", ratio(bulk.appended, bytes)));
        row.push(format!("{:.3}", ratio(bulk.sent, bytes)));
        row.push(bulk.blocks.to_string());
        row.extend(costs.singles.iter().map(|cost| format!("{:.1}", single(cost))));
        row.push(format!("{:.1}", single(&costs.overwrite)));
        row.push(format!("{:.1}", single(&costs.callers) / CALLERS as f64));
        row.push(format!("{:.3}", ratio(home.appended, home_bytes)));
        row.push(home.blocks.to_string());
        row.push(format!("{:.1}", single(&costs.home_change)));
        table.push(row);
    }
    table
}

fn data(all: &[FolderCosts]) -> PageData {
    let mut data = PageData::new(
        "costs",
        [
            "leaf_bytes",
            "interior_bytes",
            "inline_bytes",
            "workload",
            "content_bytes",
            "appended",
            "sent",
            "blocks",
            "commits",
        ],
    );
    for costs in all {
        let TreeParams { nodes, inline_bytes, .. } = costs.params;
        let mut row = |workload: &str, bytes: u64, cost: &WriteCost| {
            let WriteCost { appended, sent, blocks, commits } = cost;
            data.row(&[
                &nodes.leaf_bytes,
                &nodes.interior_bytes,
                &inline_bytes,
                &workload,
                &bytes,
                appended,
                sent,
                blocks,
                commits,
            ]);
        };
        row("bulk", costs.bulk.1, &costs.bulk.0);
        for (names, cost) in FOLDERS.iter().zip(&costs.singles) {
            row(&format!("single into {names}"), 0, cost);
        }
        row("change of one of 10000", 0, &costs.overwrite);
        row("8 callers", CALLERS * costs.callers.commits * 4096, &costs.callers);
        row("home folder", costs.home.1, &costs.home.0);
        row("change in a home folder", 0, &costs.home_change);
    }
    data
}
