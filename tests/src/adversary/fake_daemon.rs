//! Another user's program that listens where a daemon should, and tells how much it was sent.

use std::io::{BufRead as _, BufReader, Lines};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// The user with the fewest rights, whom every machine has.
pub const NOBODY: u32 = 65_534;

const LISTEN: &str = "import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(8)
print('ready', flush=True)
while True:
    c, _ = s.accept()
    c.settimeout(5)
    try:
        d = c.recv(65536)
    except Exception:
        d = b''
    print(len(d), d[:80], flush=True)
    c.close()
";

/// Runs as [`NOBODY`] until it is dropped.
pub struct FakeDaemon {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl FakeDaemon {
    /// Listens at a socket in a folder of that user. None if that cannot be had on this machine.
    pub fn listen(socket: &Path) -> Result<Option<Self>> {
        let mut command = Command::new("python3");
        command.arg("-c").arg(LISTEN).arg(socket).current_dir("/").uid(NOBODY).stdout(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                println!("skipped: no program of another user can be started: {error}");
                return Ok(None);
            }
        };
        let lines = BufReader::new(child.stdout.take().context("piped")?).lines();
        let mut fake = Self { child, lines };
        ensure!(fake.told()? == "ready");
        Ok(Some(fake))
    }

    /// What it tells of the next connection: how many bytes it was sent, and their beginning.
    pub fn told(&mut self) -> Result<String> {
        Ok(self.lines.next().context("it runs")??)
    }
}

impl Drop for FakeDaemon {
    fn drop(&mut self) {
        // It is gone already, or it is not; there is nothing else to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
