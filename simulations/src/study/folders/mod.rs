//! What small files cost: how large the nodes of folders should be, and how much of a file should lie in its entry.
//!
//! Real trees of the engine, whose blocks are counted with what record and message add to each.

mod costs;
mod page;
mod volume;

use bytes::Bytes;
use fsdfs_core::tree::{TreeParams, TreePath};
use fsdfs_proto::volume::NodeTarget;

use super::page::StudyPage;
use super::work::StudyWork;
use costs::{CALLERS, FOLDERS, FolderCosts};
use volume::{CountedVolume, WriteCost};

/// Bytes of contents in a commit of a bulk put, as `fsdfs put` fills its batches.
const BATCH_BYTES: usize = 4 << 20;
/// Single writes that are averaged.
const SINGLES: u64 = 200;

/// Sizes to choose from: bytes of leaves, of the nodes above them, and of a file that lies in its entry.
const CHOICES: [(usize, usize, usize); 12] = [
    (4 << 10, 4 << 10, 4 << 10),
    (8 << 10, 2 << 10, 4 << 10),
    (8 << 10, 4 << 10, 1 << 10),
    (8 << 10, 4 << 10, 2 << 10),
    (8 << 10, 4 << 10, 4 << 10),
    (8 << 10, 4 << 10, 8 << 10),
    (8 << 10, 4 << 10, 16 << 10),
    (8 << 10, 8 << 10, 4 << 10),
    (12 << 10, 4 << 10, 4 << 10),
    (16 << 10, 4 << 10, 4 << 10),
    (16 << 10, 16 << 10, 16 << 10),
    (32 << 10, 32 << 10, 16 << 10),
];

/// Runs the study.
pub fn study(work: &StudyWork) -> StudyPage {
    let costs = work.map("choices", &CHOICES, |choice| costs(work, *choice));
    page::page(&costs)
}

fn costs(work: &StudyWork, (leaf_bytes, interior_bytes, inline_bytes): (usize, usize, usize)) -> FolderCosts {
    let params = TreeParams { inline_bytes, nodes: NodeTarget { leaf_bytes, interior_bytes }, ..TreeParams::DEFAULT };
    let mut rng = fastrand::Rng::with_seed(work.seed);
    let small = |rng: &mut fastrand::Rng| content(rng, 10, 3_000);

    let files: Vec<(TreePath, Bytes)> =
        (0..work.samples(20_000)).map(|number| (path(&["notes", &name(number)]), small(&mut rng))).collect();
    let bulk = put_sorted(&mut CountedVolume::new(params), files);

    let into_folder = |names: &u64| {
        let mut volume = CountedVolume::new(params);
        // A million files of the usual size would not fit into memory; what counts is how many names there are.
        let most = if *names > 100_000 { 100 } else { 3_000 };
        let files =
            (0..work.samples(*names)).map(|number| (path(&["notes", &name(2 * number)]), content(&mut rng, 10, most)));
        put_sorted(&mut volume, files.collect());
        each(work, &mut volume, |volume| {
            let number = 2 * rng.u64(..work.samples(*names)) + 1;
            volume.put([(path(&["notes", &name(number)]), small(&mut rng))]);
        })
    };
    let singles = FOLDERS.iter().map(into_folder).collect();

    let mut volume = CountedVolume::new(params);
    let names = work.samples(10_000);
    put_sorted(&mut volume, (0..names).map(|number| (path(&["notes", &name(number)]), small(&mut rng))).collect());
    let overwrite =
        each(work, &mut volume, |volume| volume.put([(path(&["notes", &name(rng.u64(..names))]), small(&mut rng))]));

    let mut volume = CountedVolume::new(params);
    let mut written = 0;
    let callers = each(work, &mut volume, |volume| {
        written += 1;
        let file = |caller: u64| {
            (
                path(&[&format!("folder {caller}"), &format!("file {}", caller + CALLERS * written)]),
                content(&mut rng, 4096, 4096),
            )
        };
        volume.put((0..CALLERS).map(file).collect::<Vec<_>>());
    });

    let mut volume = CountedVolume::new(params);
    let files: Vec<(TreePath, Bytes)> = (0..work.samples(6_000)).map(|number| home_file(&mut rng, number)).collect();
    let paths: Vec<TreePath> = files.iter().map(|(path, _)| path.clone()).collect();
    let home = put_sorted(&mut volume, files);
    let home_change = each(work, &mut volume, |volume| {
        let path = paths[rng.usize(..paths.len())].clone();
        volume.put([(path, home_content(&mut rng))]);
    });
    FolderCosts { params, bulk, singles, overwrite, callers, home, home_change }
}

/// As `fsdfs put` does it: in the tree's order, in batches. What it cost, and the bytes of contents.
fn put_sorted(volume: &mut CountedVolume, mut files: Vec<(TreePath, Bytes)>) -> (WriteCost, u64) {
    files.sort_by(|one, other| one.0.cmp(&other.0));
    let before = volume.cost;
    let (mut batch, mut batch_bytes, mut bytes) = (Vec::new(), 0, 0);
    for (path, content) in files {
        batch_bytes += content.len();
        bytes += content.len() as u64;
        batch.push((path, content));
        if batch_bytes >= BATCH_BYTES {
            volume.put(std::mem::take(&mut batch));
            batch_bytes = 0;
        }
    }
    if !batch.is_empty() {
        volume.put(batch);
    }
    (volume.cost - before, bytes)
}

/// Up to [`SINGLES`] writes; what all of them cost.
fn each(work: &StudyWork, volume: &mut CountedVolume, mut write: impl FnMut(&mut CountedVolume)) -> WriteCost {
    let before = volume.cost;
    (0..work.samples(SINGLES)).for_each(|_| write(volume));
    volume.cost - before
}

/// A file of a home folder: some 12 in each of many folders, two levels deep.
fn home_file(rng: &mut fastrand::Rng, number: u64) -> (TreePath, Bytes) {
    let folder = number / 12;
    (path(&[&format!("area {:02}", folder % 20), &format!("project {folder:04}"), &name(number)]), home_content(rng))
}

/// Half of the files have less than 4 KiB, a tenth more than 64 KiB, which is what home folders are like.
fn home_content(rng: &mut fastrand::Rng) -> Bytes {
    let bytes = 64.0 * libm::pow(2.0, 6.0 + 3.1 * normal(rng));
    content(rng, 1, 1).repeat((bytes as usize).clamp(1, 1 << 20)).into()
}

/// Of mean 0 and variance 1, near enough.
fn normal(rng: &mut fastrand::Rng) -> f64 {
    (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0
}

fn content(rng: &mut fastrand::Rng, least: usize, most: usize) -> Bytes {
    let mut bytes = vec![0; rng.usize(least..=most)];
    rng.fill(&mut bytes);
    bytes.into()
}

/// Names that come in no order of their numbers.
fn name(number: u64) -> String {
    format!("{:08x}.txt", number.wrapping_mul(0x9e37_79b9) & 0xffff_ffff)
}

fn path(names: &[&str]) -> TreePath {
    names.iter().map(|name| Bytes::copy_from_slice(name.as_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pools_use_writes_small_files_once() {
        let page = study(&StudyWork::tiny(1));
        assert!(page.answer.contains("8 KiB"), "{}", page.answer);
        assert_eq!(page.parts.len(), 2, "a text and its table");
    }
}
