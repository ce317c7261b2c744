//! Many small files by the command line: a folder put and fetched back, and one more file put into it; and a tree of folders
//! whose files are smaller and larger than what lies in a folder's own blocks.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::floor::FloorTable;
use crate::pool::Pool;
use crate::report::{FigureGoal, Row};
use crate::scale::BenchScale;
use crate::usage::Work;

const NODES: usize = 3;
const BYTES_MIN: usize = 10;
const BYTES_MAX: usize = 3_000;
const FILES_OF_A_FOLDER: usize = 100;
/// A third of the files of a tree have blocks of their own.
const TREE_BYTES_MIN: usize = 300;
const TREE_BYTES_MAX: usize = 6_000;
const MIB: f64 = (1 << 20) as f64;
/// Single files that are averaged.
const SINGLES: usize = 10;

/// What a command and all daemons took.
struct CommandCost {
    s: f64,
    /// Of the command and what it waited for.
    command_cpu_s: f64,
    work: Work,
}

pub fn measure(floors: &FloorTable, scale: BenchScale, row: &mut dyn FnMut(Row)) -> Result<()> {
    let pool = Pool::start(NODES, false, 1 << 30)?;
    let folder = pool.cluster.scratch("many");
    fs::create_dir(&folder)?;
    let mib = make(&folder, scale.small_files, BYTES_MIN..=BYTES_MAX)? as f64 / MIB;
    let (files, nodes) = (scale.small_files as f64, NODES as f64);
    let text = |path: &Path| path.to_string_lossy().into_owned();

    let put = run(&pool, &["put", &text(&folder), "/many"])?;
    row(Row::new("put of a folder of small files", files / put.s, "files/s")
        .floor("made, written, renamed", floors.files_per_s()?));
    row(Row::new(
        "the same, CPU of command and daemons",
        (put.command_cpu_s + put.work.cpu_s) / files * 1e3,
        "ms each",
    ));
    row(Row::new("the same, appended on each node", put.work.appended_mib / nodes, "MiB")
        .floor("MiB in the files", mib)
        .goal(FigureGoal::RatioAtMost(1.3)));
    row(Row::new("the same, bytes on the wire", put.work.wire_mib, "MiB")
        .floor("two copies", mib * (nodes - 1.0))
        .goal(FigureGoal::RatioAtMost(1.15)));
    row(Row::new("the same, syncs of each node", put.work.syncs / nodes, "").goal(FigureGoal::AtMost(60.0)));

    let single = folder.with_file_name("single");
    let mut appended_mib = 0.0;
    for number in 0..SINGLES {
        fs::write(&single, vec![number as u8; (BYTES_MIN + BYTES_MAX) / 2])?;
        appended_mib +=
            run(&pool, &["put", &text(&single), &format!("/many/{}", name(2 * number + 1))])?.work.appended_mib;
    }
    row(Row::new("one more into it, appended on each node", appended_mib / nodes / SINGLES as f64 * 1024.0, "KiB")
        .goal(FigureGoal::AtMost(40_000.0 / 1024.0)));

    let back = folder.with_file_name("back");
    let get = run(&pool, &["get", "/many", &text(&back)])?;
    ensure!(fs::read_dir(&back)?.count() == scale.small_files + SINGLES, "not all files came back");
    for number in (0..scale.small_files).step_by(97) {
        ensure!(
            fs::read(back.join(name(2 * number)))? == fs::read(folder.join(name(2 * number)))?,
            "file {number} differs"
        );
    }
    row(Row::new("get of this folder", files / get.s, "files/s")
        .floor("made, written, renamed", floors.files_per_s()?)
        .goal(FigureGoal::AtLeast(5_000.0)));
    row(Row::new("the same, CPU of all daemons", get.work.cpu_s / files * 1e3, "ms each").goal(FigureGoal::AtMost(0.3)));
    row(Row::new("the same, CPU of the command", get.command_cpu_s / files * 1e3, "ms each"));
    Ok(())
}

/// A tree of a hundred files a folder.
pub fn measure_tree(_: &FloorTable, scale: BenchScale, row: &mut dyn FnMut(Row)) -> Result<()> {
    let pool = Pool::start(NODES, false, 1 << 30)?;
    let top = pool.cluster.scratch("tree");
    let (folders, nodes) = (scale.small_files.div_ceil(FILES_OF_A_FOLDER), NODES as f64);
    let mut bytes = 0;
    for number in 0..folders {
        let folder = top.join(format!("{:02}/{number}", number % 40));
        fs::create_dir_all(&folder)?;
        bytes += make(&folder, FILES_OF_A_FOLDER, TREE_BYTES_MIN..=TREE_BYTES_MAX)?;
    }
    let (files, mib) = ((folders * FILES_OF_A_FOLDER) as f64, bytes as f64 / MIB);
    let put = run(&pool, &["put", &top.to_string_lossy(), "/tree"])?;
    row(Row::new("put of a tree of small files", files / put.s, "files/s"));
    row(Row::new(
        "the same, CPU of command and daemons",
        (put.command_cpu_s + put.work.cpu_s) / files * 1e3,
        "ms each",
    ));
    row(Row::new("the same, appended on each node", put.work.appended_mib / nodes, "MiB")
        .floor("MiB in the files", mib)
        .goal(FigureGoal::RatioAtMost(1.3)));
    row(Row::new("the same, bytes on the wire", put.work.wire_mib, "MiB")
        .floor("two copies", mib * (nodes - 1.0))
        .goal(FigureGoal::RatioAtMost(1.15)));
    row(Row::new("the same, syncs of each node", put.work.syncs / nodes, "")
        .floor("60 for each 22.5 MiB", 60.0 * mib / 22.5)
        .goal(FigureGoal::RatioAtMost(1.0)));
    Ok(())
}

/// Runs a command on the first node to its end.
fn run(pool: &Pool, words: &[&str]) -> Result<CommandCost> {
    let before = pool.work()?;
    let begun = Instant::now();
    let children = crate::usage::ended_children_cpu_s()?;
    pool.cluster.nodes[0].ok(words)?;
    let (s, command_cpu_s) = (begun.elapsed().as_secs_f64(), crate::usage::ended_children_cpu_s()? - children);
    // What follows an answer, such as copies of logs, belongs to it.
    pool.wait_still()?;
    Ok(CommandCost { s, command_cpu_s, work: pool.work()? - before })
}

/// So many files of random bytes. How many bytes that are.
fn make(folder: &Path, files: usize, sizes: RangeInclusive<usize>) -> Result<u64> {
    let mut rng = fastrand::Rng::new();
    let mut bytes = 0;
    for number in 0..files {
        let mut content = vec![0; rng.usize(sizes.clone())];
        rng.fill(&mut content);
        fs::write(folder.join(name(2 * number)), &content)?;
        bytes += content.len() as u64;
    }
    Ok(bytes)
}

/// Names that come in no order of their numbers, as names do.
fn name(number: usize) -> String {
    format!("{:08x}.txt", (number as u32).wrapping_mul(0x9e37_79b9))
}
