//! What a put keeps of files, and what it says that it does not.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Result, ensure};
use fsdfs_tests::cluster::{TestCluster, TestProgram};
use rustix::fs::{XattrFlags, getxattr, setxattr};

fn program() -> TestProgram {
    TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test"))
}

#[test]
fn hard_links_come_back_as_names_of_one_file() -> Result<()> {
    let mut cluster = TestCluster::new(program())?;
    cluster.found()?;
    let node = &cluster.nodes[0];
    let (source, back) = (cluster.scratch("source"), cluster.scratch("back"));
    fs::create_dir_all(source.join("inner"))?;
    for (name, bytes) in [("small", 10), ("large", 3 << 20)] {
        fs::write(source.join(name), vec![7; bytes])?;
        fs::hard_link(source.join(name), source.join(format!("inner/{name}")))?;
        fs::hard_link(source.join(name), source.join(format!("z-{name}")))?;
    }
    fs::write(source.join("alone"), b"alone")?;
    node.json(["put".as_ref(), source.as_os_str(), "/".as_ref()])?;
    let again = node.json(["put".as_ref(), source.as_os_str(), "/".as_ref()])?;
    ensure!(again["changed"] == false && again["uploaded_bytes"] == 0, "{again}");
    let got = node.json(["get".as_ref(), "/source".as_ref(), back.as_os_str()])?;
    ensure!(got["files"] == 7 && got["failed"]["count"] == 0, "{got}");
    fsdfs_tests::tree::assert_equal(&source, &back)?;
    let inode = |name: &str| Ok::<_, anyhow::Error>(fs::metadata(back.join(name))?.ino());
    for name in ["small", "large"] {
        let inner = inode(&format!("inner/{name}"))?;
        ensure!(inode(name)? == inner && inode(&format!("z-{name}"))? == inner, "{name} has become several files");
    }
    ensure!(inode("alone")? != inode("small")?);
    // One of the names is written anew: it is a file of its own from then on.
    let other = cluster.scratch("other");
    fs::write(&other, b"other")?;
    node.expect(&[0, 1], ["put".as_ref(), other.as_os_str(), "/source/z-small".as_ref()])?;
    let apart = cluster.scratch("apart");
    node.ok(["get".as_ref(), "/source".as_ref(), apart.as_os_str()])?;
    ensure!(fs::read(apart.join("z-small"))? == b"other" && fs::read(apart.join("small"))? == [7; 10]);
    ensure!(fs::metadata(apart.join("small"))?.nlink() == 2);
    // A second get finds everything here.
    let got = node.json(["get".as_ref(), "/source/".as_ref(), apart.as_os_str()])?;
    ensure!(got["files"] == 0 && got["same"] == 7, "{got}");
    Ok(())
}

#[test]
fn attributes_of_users_come_back_and_others_are_told_of() -> Result<()> {
    let mut cluster = TestCluster::new(program())?;
    cluster.found()?;
    let node = &cluster.nodes[0];
    let (source, back) = (cluster.scratch("source"), cluster.scratch("back"));
    fs::create_dir_all(&source)?;
    for name in ["small", "large"] {
        fs::write(source.join(name), vec![1; if name == "small" { 3 } else { 100_000 }])?;
    }
    if setxattr(source.join("small"), "user.colour", b"r\0d\xff", XattrFlags::empty()).is_err() {
        println!("skipped: this file system has no attributes of users");
        return Ok(());
    }
    setxattr(source.join("large"), "user.empty", b"", XattrFlags::empty())?;
    setxattr(&source, "user.of folder=&%", b"x", XattrFlags::empty())?;
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        setxattr(source.join("small"), "trusted.note", b"1", XattrFlags::empty())?;
        std::os::unix::fs::chown(source.join("large"), Some(65_534), None)?;
    }
    let put = node.json(["put".as_ref(), source.as_os_str(), "/".as_ref()])?;
    let lost = &put["not_kept"];
    ensure!(lost["other_attributes"] == u64::from(is_root) && lost["owners"] == u64::from(is_root), "{put}");
    let said = node.run(["put".as_ref(), source.as_os_str(), "/".as_ref()])?;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    ensure!(
        !is_root || said.contains("not kept: owner and group of 1 entry and other extended attributes of 1 entry"),
        "{said}"
    );
    node.ok(["get".as_ref(), "/source".as_ref(), back.as_os_str()])?;
    let value = |path: &std::path::Path, name: &str| {
        let mut bytes = [0; 64];
        getxattr(path, name, &mut bytes[..]).map(|length| bytes[..length].to_vec())
    };
    ensure!(value(&back.join("small"), "user.colour")? == b"r\0d\xff");
    ensure!(value(&back.join("large"), "user.empty")?.is_empty());
    ensure!(value(&back, "user.of folder=&%")? == b"x");
    ensure!(value(&back.join("small"), "trusted.note").is_err());
    Ok(())
}

#[test]
fn what_lies_too_deep_is_told_once() -> Result<()> {
    let mut cluster = TestCluster::new(program())?;
    cluster.found()?;
    let node = &cluster.nodes[0];
    let source = cluster.scratch("deep");
    let deep = source.join(vec!["d"; 254].join("/"));
    for number in 0..30 {
        fs::create_dir_all(deep.join(format!("x{number}/y")))?;
        fs::write(deep.join(format!("x{number}/file")), b"1")?;
    }
    let output = node.run(["put".as_ref(), source.as_os_str(), "/".as_ref()])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2), "{said}");
    ensure!(said.matches("at most 256 names").count() == 1 && said.len() < 1_500, "{said}");
    ensure!(said.contains("60 entries were not stored"), "{said}");
    let depth = |number: usize| format!("/deep/{}/x{number}", vec!["d"; 254].join("/"));
    node.expect(&[0, 1], ["stat", &depth(7)])?;
    Ok(())
}
