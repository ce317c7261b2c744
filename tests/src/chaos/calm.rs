//! After the faults: all nodes run, agree, have all copies; what they show is compared with what was promised.

use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::command::CommandCaller;
use super::content::{self, ContentToken};
use crate::cluster::{TestCluster, wait_for};

/// A file as a node lists it.
#[derive(Debug, PartialEq)]
struct ShownFile {
    path: String,
    size: Value,
    mtime_ns: Value,
    written_ms: Value,
}

/// Waits until all nodes are connected, list the same tree, and every block has all its copies. Returns the names of all files.
pub fn converge(
    cluster: &TestCluster,
    callers: &[CommandCaller],
    scratch: &Path,
    most: Duration,
) -> Result<Vec<String>> {
    let wanted = cluster.nodes.len().min(3) as u64;
    let mut names = Vec::new();
    let mut last = String::new();
    let converged = wait_for(most, "all nodes to agree and to have all copies", || {
        match converged(callers, scratch, wanted)? {
            Ok(all) => names = all,
            Err(missing) => {
                last = missing;
                std::thread::sleep(Duration::from_millis(500));
                return Ok(false);
            }
        }
        Ok(true)
    });
    converged.with_context(|| format!("in the end: {last}"))?;
    Ok(names)
}

/// The names of all files, or what is missing.
fn converged(callers: &[CommandCaller], scratch: &Path, wanted: u64) -> Result<Result<Vec<String>, String>> {
    let mut trees = Vec::new();
    for caller in callers {
        if let Some(missing) = unrest(caller, scratch, callers.len() as u64 - 1)? {
            return Ok(Err(missing));
        }
        match tree(caller, scratch)? {
            Some(tree) => trees.push(tree),
            None => return Ok(Err(format!("node{} cannot list", caller.node))),
        }
    }
    if let Some(other) = trees.iter().position(|tree| *tree != trees[0]) {
        return Ok(Err(format!("node{other} lists another tree than node0: {}", difference(&trees[0], &trees[other]))));
    }
    let names: Vec<String> = trees.swap_remove(0).into_iter().map(|file| file.path).collect();
    Ok(match few_copies(&callers[0], scratch, &names, wanted)? {
        Some(few) => Err(few),
        None => Ok(names),
    })
}

/// What a node still has to do before it is at rest.
fn unrest(caller: &CommandCaller, scratch: &Path, others: u64) -> Result<Option<String>> {
    let ended = caller.call(scratch, ["status"])?;
    let status: Value = serde_json::from_slice(&ended.out).unwrap_or_default();
    let (node, repair) = (caller.node, &status["repair"]);
    Ok(if status["connected"].as_u64() != Some(others) || status["ready"] != true {
        Some(format!("node{node} is connected to {}", status["connected"]))
    } else if repair["pending"] != 0 || repair["running"] != false {
        Some(format!("node{node} may have copies to make: {repair}"))
    } else {
        None
    })
}

/// What the other lacks, and what it has instead.
fn difference<T: Debug + PartialEq>(one: &[T], other: &[T]) -> String {
    let only: Vec<_> = one.iter().filter(|file| !other.contains(file)).take(10).collect();
    let extra: Vec<_> = other.iter().filter(|file| !one.contains(file)).take(10).collect();
    format!("without {only:?}, with {extra:?}")
}

/// All files that a node lists, two levels deep, each with when it was written.
fn tree(caller: &CommandCaller, scratch: &Path) -> Result<Option<Vec<ShownFile>>> {
    let mut files = Vec::new();
    let Some(roots) = list(caller, scratch, "/")? else { return Ok(None) };
    for root in roots {
        let name = root["name"].as_str().unwrap_or_default();
        let Some(entries) = list(caller, scratch, &format!("/{name}"))? else { return Ok(None) };
        files.extend(entries.iter().map(|entry| file(name, entry)));
    }
    Ok(Some(files))
}

fn file(folder: &str, entry: &Value) -> ShownFile {
    let path = format!("/{folder}/{}", entry["name"].as_str().unwrap_or_default());
    let [size, mtime_ns, written_ms] = ["size", "mtime_ns", "written_ms"].map(|key| entry[key].clone());
    ShownFile { path, size, mtime_ns, written_ms }
}

fn list(caller: &CommandCaller, scratch: &Path, folder: &str) -> Result<Option<Vec<Value>>> {
    let ended = caller.call(scratch, ["ls", folder])?;
    let entries: Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(&ended.out).into_iter().collect();
    Ok(if ended.is_fine() { Some(entries?) } else { None })
}

/// A file that has fewer copies than it should.
fn few_copies(caller: &CommandCaller, scratch: &Path, names: &[String], wanted: u64) -> Result<Option<String>> {
    if names.is_empty() {
        return Ok(None);
    }
    let ended = caller.call(scratch, ["stat"].into_iter().chain(names.iter().map(String::as_str)))?;
    let stats: Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(&ended.out).into_iter().collect();
    let stats = stats.unwrap_or_default();
    if stats.len() != names.len() {
        return Ok(Some(format!("only {} of {} files can be looked at: {}", stats.len(), names.len(), ended.errors)));
    }
    let copies = |stat: &Value| stat["placement"]["copies_min"].as_u64().unwrap_or(0);
    let few = stats.iter().zip(names).find(|(stat, _)| copies(stat) < wanted);
    Ok(few.map(|(stat, name)| format!("{name} has {} of {wanted} copies: {}", copies(stat), stat["placement"])))
}

/// Every file as one node reads it: its name and which write its content is. Each must be whole.
pub fn read_all(caller: &CommandCaller, scratch: &Path, most: Duration) -> Result<Vec<(String, ContentToken)>> {
    let folder = scratch.with_extension("all");
    let mut said = String::new();
    let whole = wait_for(most, "everything to be read", || {
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder)?;
        let ended = caller.call(scratch, ["get".as_ref(), "/".as_ref(), folder.as_os_str()])?;
        said = ended.errors.clone();
        Ok(ended.is_fine())
    });
    whole.with_context(|| format!("node{}: {said}", caller.node))?;
    let mut found = Vec::new();
    for root in fs::read_dir(&folder)? {
        let root = root?;
        for file in fs::read_dir(root.path())? {
            let file = file?;
            let name = format!("/{}/{}", root.file_name().to_string_lossy(), file.file_name().to_string_lossy());
            let token = content::token_of(&fs::read(file.path())?);
            found.push((name.clone(), token.with_context(|| format!("node{} reads {name}", caller.node))?));
        }
    }
    found.sort();
    fs::remove_dir_all(&folder)?;
    Ok(found)
}

/// Fails unless a node reads exactly these. One that has just come back shows what it knows until it has heard of the rest.
pub fn expect_all(
    caller: &CommandCaller,
    scratch: &Path,
    wanted: &[(String, ContentToken)],
    most: Duration,
) -> Result<()> {
    let mut last = String::new();
    let equal = wait_for(most, "what was promised to be read", || {
        let found = read_all(caller, scratch, most)?;
        last = difference(wanted, &found);
        Ok(found == wanted)
    });
    equal.with_context(|| format!("node{} reads {last}", caller.node))
}
