//! What verbs answer: exit codes, JSON and texts agree, in every verb and every way that it can end; and what is said to
//! help does help.

mod hints;
mod sources;
mod table;

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::{ClusterNode, TestCluster, TestProgram};
use serde_json::Value;

fn program() -> TestProgram {
    TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test"))
}

/// A pool of one running node: everything that is written is degraded.
fn alone() -> Result<TestCluster> {
    let mut cluster = TestCluster::new(program())?;
    cluster.found()?;
    cluster.nodes[0].wait("the node to be ready", |status| status["ready"] == true && status["has_key"] == true)?;
    Ok(cluster)
}

/// What a command printed and how it ended.
struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Answer {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Of a verb of this node. The words may have blanks in them.
    fn ask<W: AsRef<std::ffi::OsStr>>(node: &ClusterNode, words: impl IntoIterator<Item = W>) -> Result<Self> {
        Ok(Self::of(&node.run(words)?))
    }

    /// Of a line as its reader would paste it to a shell.
    fn paste(node: &ClusterNode, folder: &Path, line: &str) -> Result<Self> {
        let mut shell = Command::new("bash");
        shell.env("FSDFS_HOME", &node.home).current_dir(folder).args(["-c", line]);
        Ok(Self::of(&shell.output().context("bash")?))
    }

    /// Lines of JSON.
    fn lines(text: &str) -> Result<Vec<Value>> {
        text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))).collect()
    }

    fn expect(self, codes: &[i32], said: &[&str]) -> Result<Self> {
        let Self { code, stdout, stderr } = &self;
        ensure!(codes.contains(code), "ended with {code} instead of {codes:?}\n{stdout}{stderr}");
        for text in said {
            ensure!(stderr.contains(text) || stdout.contains(text), "does not say {text:?}\n{stdout}{stderr}");
        }
        Ok(self)
    }
}
