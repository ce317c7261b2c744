//! All verbs, and how each can end: fine or degraded, missing, partly, refused. A row is tried as text and with `--json`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::{ClusterNode, PATIENCE, TestCluster, wait_for};
use serde_json::Value;

use super::{Answer, alone, hints, program};

/// How a command has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// 0.
    Fine,
    /// 0 or 1: as many copies as the pool can have. The answer says which.
    Written,
    /// 0 or 1: whether something needs attention, which the answer says.
    Judged,
    /// 2, and every error names one of these words.
    Failed(&'static [&'static str]),
}

use Ends::{Failed, Fine, Judged, Written};

/// `@` is the folder of the store that the row may change, `#` one of this machine with the files `a`, `b` and `tree`.
/// In the store `@` has the files `a` to `f`, and the folders `full` (with a file) and `empty`.
const ROWS: &[(&str, Ends)] = &[
    // Fine, or degraded where there is one node only.
    ("put #/a @/new", Written),
    ("put #/a @/new", Written),
    ("put #/a #/b #/tree @/several", Written),
    ("put #/tree/ @", Written),
    ("mkdir @/made", Written),
    ("mkdir -p @/made @/made/deep", Written),
    ("mv @/a @/moved", Written),
    ("mv @/b @/c @/made", Written),
    ("rm @/d", Written),
    ("undelete @/d", Written),
    ("log @/d", Fine),
    ("log", Fine),
    ("snapshots", Fine),
    ("snapshots list", Fine),
    ("snapshots keep --daily 31", Written),
    ("rm -r @/full2", Written),
    ("get @/e #/out", Fine),
    ("get @/e #/out", Fine),
    ("get @ #/out-all", Fine),
    ("cat @/e", Fine),
    ("ls @", Fine),
    ("ls -l @/e @", Fine),
    ("stat @/e", Judged),
    ("status", Judged),
    ("status -v", Judged),
    ("watch", Judged),
    ("members", Fine),
    ("df", Fine),
    ("disk", Judged),
    ("plan", Fine),
    ("plan add erin 4TB", Fine),
    ("plan remove node0", Fine),
    ("plan drain node0", Fine),
    ("plan copies 2", Fine),
    ("invite", Fine),
    ("invite --list", Fine),
    ("bandwidth", Fine),
    ("bandwidth --repair 40% --for 1h", Fine),
    ("bandwidth --reset", Fine),
    ("away --until 3days --daily 23:00-07:00", Fine),
    ("back --daily", Fine),
    ("config check", Fine),
    ("service", Fine),
    ("man --dir #/man", Fine),
    // Missing.
    ("put #/nope @/x", Failed(&["nope", "not stored"])),
    ("mv @/nope @/x", Failed(&["/nope"])),
    ("mv @/e @/nope/x", Failed(&["/e"])),
    ("rm @/nope", Failed(&["/nope"])),
    ("rm @/e/below", Failed(&["/e/below"])),
    ("mkdir @/e/below", Failed(&["/e/below"])),
    ("get @/nope #/x", Failed(&["/nope"])),
    ("cat @/nope", Failed(&["/nope"])),
    ("ls @/nope", Failed(&["/nope"])),
    ("stat @/nope", Failed(&["/nope"])),
    ("stat @/e/below", Failed(&["/e/below"])),
    ("log @/nope", Failed(&["/nope"])),
    ("undelete @/nope", Failed(&["/nope"])),
    ("ls --at 3days @", Failed(&["the oldest is of"])),
    ("cat --at 01234567 @/e", Failed(&["01234567"])),
    ("restore --at 3days @/e", Failed(&["the oldest is of"])),
    ("snapshots drop 01234567", Failed(&["01234567"])),
    ("plan remove nope", Failed(&["nope"])),
    ("plan drain nope", Failed(&["nope"])),
    ("members revoke nope --yes", Failed(&["nope"])),
    ("disk new #/nope", Failed(&["nope"])),
    ("drain --disk #/nope", Failed(&["nope"])),
    ("meet nope", Failed(&["nope"])),
    ("admins", Fine),
    ("admins add node0 --root-key #/nope", Failed(&["nope"])),
    ("root-key", Fine),
    ("root-key replace --spare-key #/nope --words", Failed(&["nope"])),
    ("rules", Fine),
    ("rules set --copies 3 --root-key #/nope", Failed(&["nope"])),
    ("invite --revoke 01234567", Failed(&["01234567"])),
    // Partly.
    ("put #/a #/nope @/partly", Failed(&["nope", "not stored"])),
    ("put #/a #/tree/a @/twice", Failed(&["/tree/a", "not stored"])),
    ("mv @/e @/nope @/made", Failed(&["/nope"])),
    ("rm @/nope @/f", Failed(&["/nope"])),
    ("mkdir @/made2 @/made", Failed(&["/made"])),
    ("get -f @/new @/several @/nope #/partly", Failed(&["/nope"])),
    ("get -f @/twice/a @/several/a #/twice", Failed(&["/several/a", "not fetched"])),
    ("cat @/nope @/new", Failed(&["/nope"])),
    ("ls @/nope @/made", Failed(&["/nope"])),
    ("stat @/nope @/made", Failed(&["/nope"])),
    ("undelete @/nope @/made", Failed(&["/nope", "/made"])),
    // Refused.
    ("put #/a nope", Failed(&["nope"])),
    ("put - @/", Failed(&["standard input"])),
    ("put #/a @/made/a #/b", Failed(&["/made/a", "not stored"])),
    ("mv @/made @/made/in-itself", Failed(&["/made"])),
    ("mv @/new @/several @/nowhere", Failed(&["nowhere"])),
    ("mv @/new mine:/x", Failed(&["mine"])),
    ("rm @/full", Failed(&["/full"])),
    ("rm /", Failed(&["/"])),
    ("mkdir @/made", Failed(&["/made"])),
    ("get nope", Failed(&["nope"])),
    ("cat @/full", Failed(&["/full"])),
    ("undelete @/e", Failed(&["/e"])),
    ("restore @/e", Failed(&["--at"])),
    ("ls --at nope @", Failed(&["nope"])),
    ("snapshots keep --hourly 97", Failed(&["96"])),
    ("ls mine:/", Failed(&["mine"])),
    ("plan add node0", Failed(&["SIZE"])),
    ("plan copies 0", Failed(&["0"])),
    ("invite --uses 0", Failed(&["0"])),
    ("members revoke", Failed(&["NAME"])),
    ("init", Failed(&["in use"])),
    ("up", Failed(&["in use"])),
    ("join not-a-ticket", Failed(&["ticket"])),
    ("completions nope", Failed(&["nope"])),
    ("away --until nope", Failed(&["nope"])),
    ("bandwidth --upload 5 --for 1h", Failed(&["256 kbit"])),
    ("config", Failed(&["command"])),
    ("no-such-verb", Failed(&["no-such-verb"])),
];

/// What cannot be asked with nobody there.
const NOT_RUNNING: &[&str] = &[
    "put #/a /x",
    "get /x #/y",
    "cat /x",
    "ls",
    "mkdir /x",
    "mv /x /y",
    "rm /x",
    "stat /x",
    "log",
    "log /x",
    "undelete /x",
    "restore --at 3days /x",
    "ls --at 3days /",
    "snapshots",
    "snapshots drop 01234567",
    "members",
    "members revoke x --yes",
    "members remove x --yes",
    "meet 192.0.2.1:1",
    "status",
    "watch",
    "df",
    "disk",
    "plan",
    "plan copies 2",
    "invite",
    "invite --list",
    "bandwidth",
    "safe /",
    "safe / --prove",
    "away",
    "back",
    "drain",
    "leave --yes",
    "down",
];

/// Files of this machine and of the store for one run of the table.
struct TableRun<'a> {
    node: &'a ClusterNode,
    local: &'a Path,
    store: &'static str,
    json: bool,
}

impl TableRun<'_> {
    fn prepare(&self) -> Result<()> {
        for folder in ["tree", "full", "full2", "empty"] {
            fs::create_dir_all(self.local.join(folder))?;
        }
        for file in ["a", "b", "tree/a", "full/x", "full2/x"] {
            fs::write(self.local.join(file), format!("content of {file}"))?;
        }
        self.node.expect(&[0, 1], ["mkdir", "-p", self.store])?;
        for name in ["a", "b", "c", "d", "e", "f"] {
            let (from, to) = (self.local.join("a"), format!("{}/{name}", self.store));
            self.node.expect(&[0, 1], ["put".as_ref(), from.as_os_str(), to.as_ref()])?;
        }
        for name in ["full", "full2", "empty"] {
            let from = self.local.join(name);
            self.node.expect(&[0, 1], ["put".as_ref(), from.as_os_str(), self.store.as_ref()])?;
        }
        Ok(())
    }

    fn row(&self, line: &str, ends: Ends) -> Result<()> {
        let local = self.local.to_string_lossy();
        let fill = |word: &str| word.replace('@', self.store).replace('#', &local);
        let json = self.json.then(|| "--json".to_owned());
        let answer = Answer::ask(self.node, json.into_iter().chain(line.split(' ').map(fill)))?;
        self.code(&answer, ends)?;
        if self.json { self.json(&answer, ends) } else { self.text(&answer, ends) }
    }

    fn code(&self, answer: &Answer, ends: Ends) -> Result<()> {
        let codes: &[i32] = match ends {
            Fine => &[0],
            Written | Judged => &[0, 1],
            Failed(_) => &[2],
        };
        let Answer { code, stdout, stderr } = answer;
        ensure!(codes.contains(code), "ended with {code}, not with one of {codes:?}\n{stdout}{stderr}");
        ensure!(!stderr.contains("panicked"), "{stderr}");
        Ok(())
    }

    fn text(&self, answer: &Answer, ends: Ends) -> Result<()> {
        let Answer { stderr, stdout, .. } = answer;
        if let Failed(named) = ends {
            let named =
                |text: &str| named.iter().any(|word| text.contains(&word.replace('#', &self.local.to_string_lossy())));
            ensure!(named(stderr), "the error names nothing: {stderr}");
        }
        ensure!(!stdout.starts_with('{') && !stderr.starts_with('{'), "JSON that was not asked for: {stdout}{stderr}");
        Ok(())
    }

    fn json(&self, answer: &Answer, ends: Ends) -> Result<()> {
        let errors = Answer::lines(&answer.stderr)?;
        let results = if answer.stdout.starts_with('{') { Answer::lines(&answer.stdout)? } else { Vec::new() };
        for error in &errors {
            let text = error["error"].as_str().context("an error has a text")?;
            ensure!(
                error["hint"].is_string() && error.get("code").is_some(),
                "an error has a hint and a code: {error}"
            );
            if let Failed(named) = ends {
                let is_named =
                    named.iter().any(|word| text.contains(&word.replace('#', &self.local.to_string_lossy())));
                ensure!(is_named, "the error names none of {named:?}: {error}");
            }
        }
        ensure!(errors.is_empty() == (answer.code != 2), "{} errors with code {}", errors.len(), answer.code);
        for result in &results {
            agrees(result, answer.code)?;
        }
        match ends {
            Written => ensure!(results.len() == 1 && results[0].get("outcome").is_some(), "{}", answer.stdout),
            Failed(_) | Judged | Fine => {}
        }
        Ok(())
    }
}

/// What an answer says of itself, beside the exit code.
fn agrees(result: &Value, code: i32) -> Result<()> {
    if let Some(outcome) = result.get("outcome") {
        match outcome.as_str() {
            Some("stored") => ensure!(matches!(code, 0 | 2), "{code}: {result}"),
            Some("degraded") => ensure!(matches!(code, 1 | 2), "{code}: {result}"),
            _ => ensure!(outcome.is_null() && result["copies"].is_null(), "{code}: {result}"),
        }
        let failed = &result["failed"];
        let failed = failed["count"].as_u64().or_else(|| failed.as_array().map(|list| list.len() as u64));
        ensure!((failed != Some(0)) == (code == 2), "{code}: {result}");
        let done = result["done"].as_u64().or_else(|| result["files"].as_u64()).unwrap_or(1);
        let counted = done + result["folders"].as_u64().unwrap_or(0) + result["links"].as_u64().unwrap_or(0);
        ensure!((counted == 0) <= outcome.is_null(), "something was stored that was not done: {result}");
    }
    if let Some(attention) = result.get("attention").and_then(Value::as_array) {
        let is_healthy = result["state"] == "healthy";
        ensure!(is_healthy == (code == 0) && (attention.is_empty() || !is_healthy), "{code}: {result}");
    }
    if let Some(placement) = result.get("placement") {
        let is_short = placement["copies_min"].as_u64() < placement["target_copies"].as_u64();
        ensure!(!is_short || code != 0, "{code}: {result}");
    }
    Ok(())
}

fn run_all(cluster: &TestCluster) -> Result<()> {
    for (json, store) in [(false, "/text"), (true, "/json")] {
        let local = cluster.scratch(&store[1..]);
        fs::create_dir_all(&local)?;
        let run = TableRun { node: &cluster.nodes[0], local: &local, store, json };
        run.prepare()?;
        for (line, ends) in ROWS {
            run.row(line, *ends).with_context(|| format!("{line} (json: {json}, {} nodes)", cluster.nodes.len()))?;
        }
    }
    Ok(())
}

#[test]
fn every_verb_answers_the_same_in_code_text_and_json() -> Result<()> {
    let cluster = alone()?;
    run_all(&cluster)?;
    // Alone everything is degraded, and is said to be.
    let put = cluster.nodes[0].json(["put", "/proc/version", "/version"])?;
    ensure!(put["outcome"] == "degraded" && put["degraded"] == 1, "{put}");
    Ok(())
}

#[test]
fn the_same_where_all_copies_are_possible() -> Result<()> {
    let cluster = TestCluster::of(program(), 3)?;
    run_all(&cluster)?;
    cluster.nodes[0].wait_complete()?;
    wait_for(PATIENCE, "a file with all its copies", || {
        Ok(Answer::ask(&cluster.nodes[0], ["stat", "/json/new"])?.code == 0)
    })
}

#[test]
fn without_a_daemon_every_verb_says_how_to_start_it() -> Result<()> {
    let mut cluster = alone()?;
    let local = cluster.scratch("local");
    fs::create_dir_all(&local)?;
    fs::write(local.join("a"), "x")?;
    cluster.nodes[0].stop()?;
    let empty = cluster.new_node()?;
    for line in NOT_RUNNING {
        for (node, next) in [(&cluster.nodes[0], " up"), (&empty, "join -")] {
            let words = line.split(' ').map(|word| word.replace('#', &local.to_string_lossy()));
            let answer = Answer::ask(node, std::iter::once("--json".to_owned()).chain(words))?;
            let errors = Answer::lines(&answer.stderr)?;
            let hint = errors.first().map(|error| error["hint"].to_string()).unwrap_or_default();
            ensure!(answer.code == 2 && errors.len() == 1 && hint.contains(next), "{line}: {}", answer.stderr);
        }
    }
    // What is said to start it starts it.
    let said = Answer::ask(&cluster.nodes[0], ["ls"])?.stderr;
    let start = hints::commands(&said).into_iter().next().context("a command that starts it")?;
    ensure!(start.ends_with(" up"), "{start}");
    cluster.nodes[0].up()
}

#[test]
fn the_table_has_every_verb() {
    let tried: BTreeSet<&str> = ROWS.iter().map(|(line, _)| *line).chain(NOT_RUNNING.iter().copied()).collect();
    let tried: BTreeSet<&str> = tried.iter().filter_map(|line| line.split(' ').next()).collect();
    // It runs for half a minute, in a test of its own kind: the acceptance.
    let untried = |name: &str| !tried.contains(name) && !matches!(name, "demo" | "help");
    let missing: Vec<String> = fsdfs::command()
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .filter(|name| untried(name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
