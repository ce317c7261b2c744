//! Sources that are not what they seem: two of one name, files that tell a wrong size, pipes, links; and the hints about them.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::ClusterNode;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{Answer, alone, hints};

/// The content of a file in the store.
fn cat(node: &ClusterNode, path: &str) -> Result<String> {
    node.ok(["cat", path])
}

/// Types a line in a folder.
fn paste(node: &ClusterNode, folder: &Path, line: &str) -> Result<Answer> {
    Answer::paste(node, folder, &format!("{} {line}", env!("CARGO_BIN_EXE_fsdfs-under-test")))
}

#[test]
fn two_sources_never_become_one_name() -> Result<()> {
    let cluster = alone()?;
    let (node, here) = (&cluster.nodes[0], cluster.scratch("here"));
    for (path, text) in [("s1/a", "1"), ("s2/a", "2"), ("s1/d/f", "1"), ("s2/d/f", "2"), ("s2/d/g", "2")] {
        fs::create_dir_all(here.join(path).parent().context("a folder")?)?;
        fs::write(here.join(path), text)?;
    }
    // put: files, folders that meet, and contents of folders.
    paste(node, &here, "put s1/a s2/a /x")?.expect(&[2], &["s1/a", "s2/a", "/x/a"])?;
    ensure!(cat(node, "/x/a")? == "1");
    paste(node, &here, "put s1/d s2/d /y")?.expect(&[2], &["s1/d/f", "s2/d/f"])?;
    ensure!(cat(node, "/y/d/f")? == "1" && cat(node, "/y/d/g")? == "2");
    paste(node, &here, "put s1/ s2/ /z")?.expect(&[2], &["s1/a", "s2/a"])?;
    ensure!(cat(node, "/z/a")? == "1");
    paste(node, &here, "put s1/a s1/a /once")?.expect(&[1], &["more than once"])?;
    // mv: nothing is lost, whatever the order and the spelling.
    paste(node, &here, "put s1 s2 /p")?.expect(&[1], &[])?;
    paste(node, &here, "mkdir /p/c")?.expect(&[1], &[])?;
    paste(node, &here, "mv /p/s1/a //p//s2/a /p/c/")?.expect(&[2], &["/p/s1/a", "/p/s2/a"])?;
    ensure!(cat(node, "/p/c/a")? == "1" && cat(node, "/p/s2/a")? == "2");
    paste(node, &here, "mv /p/s2/a /p/c/a /p/c")?.expect(&[2], &["/p/s2/a", "/p/c/a"])?;
    ensure!(cat(node, "/p/c/a")? == "1" && cat(node, "/p/s2/a")? == "2");
    // get: also with --force, and below folders that meet.
    paste(node, &here, "get -f /x/a /p/s2/a out")?.expect(&[2], &["/x/a", "/p/s2/a"])?;
    ensure!(fs::read_to_string(here.join("out/a"))? == "1");
    paste(node, &here, "get -f /p/s1/d /p/s2/d out2")?.expect(&[2], &["/p/s1/d/f", "/p/s2/d/f"])?;
    ensure!(fs::read_to_string(here.join("out2/d/f"))? == "1" && fs::read_to_string(here.join("out2/d/g"))? == "2");
    Ok(())
}

#[test]
fn a_file_is_stored_to_its_end_whatever_size_it_tells() -> Result<()> {
    let cluster = alone()?;
    let (node, here) = (&cluster.nodes[0], cluster.scratch("here"));
    fs::create_dir_all(&here)?;
    paste(node, &here, "put /proc/version /v")?.expect(&[1], &[])?;
    ensure!(cat(node, "/v")? == fs::read_to_string("/proc/version")?);
    // A log that grows all the time.
    let log = here.join("log");
    fs::write(&log, "line\n".repeat(200_000))?;
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| -> Result<()> {
        scope.spawn(|| {
            let mut log = File::options().append(true).open(&log).expect("open");
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                log.write_all(b"line\n").expect("written");
            }
        });
        let put = paste(node, &here, "put log /log").and_then(|answer| answer.expect(&[1], &[]));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        put.map(drop)
    })?;
    let stored = cat(node, "/log")?;
    ensure!(stored.len() >= 1_000_000 && fs::read_to_string(&log)?.starts_with(&stored), "{} bytes", stored.len());
    Ok(())
}

#[test]
fn what_is_no_file_is_refused_with_a_way_that_works() -> Result<()> {
    let cluster = alone()?;
    let (node, here) = (&cluster.nodes[0], cluster.scratch("here"));
    fs::create_dir_all(here.join("tree"))?;
    let fifo = |path: &str| mknodat(CWD, here.join(path), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0);
    fifo("a pipe")?;
    fifo("tree/pipe")?;
    let said = paste(node, &here, "put 'a pipe' /p")?.expect(&[2], &["a pipe, not a file"])?.stderr;
    std::thread::scope(|scope| -> Result<()> {
        let writer = scope.spawn(|| fs::write(here.join("a pipe"), "through the pipe"));
        let first = hints::commands(&said).into_iter().next().context("a command")?;
        hints::follow(node, &here, &first, &[1])?;
        writer.join().expect("it does not panic").context("written")
    })?;
    ensure!(cat(node, "/p")? == "through the pipe");
    // A folder with a pipe in it is stored without it, which is said.
    paste(node, &here, "put tree /")?.expect(&[1], &["tree/pipe: skipped"])?;
    paste(node, &here, "put <(echo x) /substituted")?.expect(&[2], &["a pipe, not a file"])?;
    let said = paste(node, &here, "put /dev/null /null")?.expect(&[2], &["a device, not a file"])?.stderr;
    hints::follow(node, &here, &hints::commands(&said)[0], &[1]).map(drop)
}

#[test]
fn a_link_as_source_is_said_and_can_be_followed() -> Result<()> {
    let cluster = alone()?;
    let (node, here) = (&cluster.nodes[0], cluster.scratch("here"));
    fs::create_dir_all(here.join("real photos"))?;
    fs::write(here.join("real photos/a"), "picture")?;
    symlink("real photos", here.join("Pictures"))?;
    symlink("real photos/a", here.join("one"))?;
    symlink(".", here.join("real photos/up"))?;
    for (link, content) in [("Pictures", "/Pictures/a"), ("one", "/one")] {
        let said = paste(node, &here, &format!("put {link} /"))?.expect(&[1], &["is a symbolic link"])?.stderr;
        ensure!(node.ok(["ls", "-l", "/"])?.contains(&format!("{link} -> ")), "it is a link");
        // The loop in the folder is stored as a link only if not all links are followed.
        ensure!(hints::follow(node, &here, &said, &[1, 2])? > 0, "{said}");
        ensure!(cat(node, content)? == "picture");
    }
    paste(node, &here, "put --follow=sources Pictures /f")?.expect(&[1], &[])?;
    ensure!(cat(node, "/f/a")? == "picture" && node.ok(["ls", "-l", "/f"])?.contains("up -> ."));
    paste(node, &here, "put -L Pictures /g")?.expect(&[2], &["Pictures/up", "would not end"])?;
    symlink("gone", here.join("dangling"))?;
    paste(node, &here, "put dangling /")?.expect(&[1], &["does not exist"])?;
    paste(node, &here, "put -L dangling /h")?.expect(&[2], &["does not exist"]).map(drop)
}

/// Each way to fail says what to type next, and that is understood.
#[test]
fn hints_are_followed() -> Result<()> {
    let mut cluster = alone()?;
    let here = cluster.scratch("here folder");
    fs::create_dir_all(&here)?;
    fs::write(here.join("a"), "x")?;
    let mut other = cluster.new_node()?;
    other.init()?;
    other.up()?;
    let ticket = other.ticket()?;
    cluster.nodes.push(other);
    let node = &cluster.nodes[0];
    paste(node, &here, "put a /dir/a")?.expect(&[1], &[])?;
    let join = format!("join {ticket}");
    let mut typed = 0;
    for (line, codes) in [
        ("ls /nope", &[0][..]),
        ("stat /nope", &[0]),
        ("cat /dir", &[0]),
        ("rm /dir", &[0, 1]),
        ("put a nope", &[0, 1]),
        ("put a /dir/a/b", &[0, 1, 2]),
        ("get nope", &[0]),
        ("mv /a /a /x", &[0, 1, 2]),
        ("members revoke nope --yes", &[0]),
        ("invite --revoke 01234567", &[0]),
        ("plan remove nope", &[0]),
        ("put nope /", &[2]),
        (&join, &[2]),
        ("up", &[0, 1]),
        ("config check", &[0]),
    ] {
        let answer = paste(node, &here, line)?;
        // A node that is said to be stopped is needed by the next line.
        let said = answer.stderr.lines().filter(|text| !text.contains(" down")).collect::<Vec<_>>().join("\n");
        let said = said.replace("--home DIR", "--home elsewhere").replace("TICKET", "not-a-ticket");
        typed += hints::follow(node, &here, &said, codes).with_context(|| format!("{line}: {said}"))?;
    }
    ensure!(typed >= 10, "only {typed} commands were named");
    Ok(())
}
