//! `fsdfs demo`: five nodes on this machine show what fsdfs does.

mod node;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use fsdfs_proto::control::StatReply;

use crate::app::{AppContext, or_interrupted};
use crate::outcome::{CliError, CliResult, ExitStatus};
use crate::text::escape;

use node::{DemoError, DemoNode};

/// Watch five nodes on this machine: they form a pool, store files, lose a node, and recover.
///
/// They are real nodes, processes of this same program, talking over the loopback network in a temporary folder. Nothing
/// is left behind. The exit code is 2 if any step fails.
#[derive(Args, Clone, Debug)]
pub struct DemoCommand {}

const NAMES: [&str; 5] = ["anna", "bob", "carol", "dave", "eve"];
/// Large enough for several blocks and for a quick look, small enough for a slow machine.
const FILM_BYTES: usize = 8 << 20;

impl DemoCommand {
    /// Runs the verb.
    pub async fn run(&self, app: &AppContext) -> CliResult {
        let temporary = tempfile::Builder::new().prefix("fsdfs-demo-").tempdir();
        let temporary = temporary.map_err(|error| {
            CliError::new(format!("cannot make a temporary folder: {error}"), "set TMPDIR to a folder with free space")
        })?;
        let program = std::env::current_exe().map_err(|error| {
            CliError::new(format!("cannot find this program itself: {error}"), "call it by its whole path")
        })?;
        let mut story = DemoStory::new(app, temporary.path(), &program);
        let ended = or_interrupted(async { Ok(story.tell().await) }, "nothing was left behind").await;
        // Dropping kills whatever still runs; only then may the folder go.
        story.end().await;
        ended?.map_err(|error| {
            CliError::new(format!("the demonstration failed: {error}"), "this should not happen; please report it")
        })?;
        app.output.note(&format!("\nNothing of it is left on this machine. For real: {}", app.program.command("up")));
        Ok(ExitStatus::Fine)
    }
}

struct DemoStory<'a> {
    app: &'a AppContext,
    folder: PathBuf,
    nodes: Vec<DemoNode>,
}

impl<'a> DemoStory<'a> {
    fn new(app: &'a AppContext, folder: &Path, program: &Path) -> Self {
        let nodes = NAMES.iter().map(|name| DemoNode::new(name, folder, program)).collect();
        Self { app, folder: folder.to_owned(), nodes }
    }

    async fn tell(&mut self) -> Result<(), DemoError> {
        let ticket = self.create_pool().await?;
        self.join(&ticket).await?;
        let photos = self.put().await?;
        let holder = self.holders().await?;
        self.kill(holder).await?;
        self.get(holder, &photos).await?;
        self.restart(holder).await?;
        self.stop().await
    }

    fn say(&self, text: &str) {
        self.app.output.note(text);
    }

    fn show(&self, who: usize, words: &str) {
        self.say(&format!("    {}$ fsdfs {words}", NAMES[who]));
    }

    async fn create_pool(&mut self) -> Result<String, DemoError> {
        self.say("1. Anna starts a pool on her machine and makes a ticket for four friends.");
        self.show(0, "up");
        let arguments = arguments(&self.folder, NAMES[0]);
        let init: Vec<&str> = std::iter::once("init").chain(arguments.iter().map(String::as_str)).collect();
        self.nodes[0].run(&init).await?;
        self.nodes[0].start(&["up"], "").await?;
        self.nodes[0].wait("a running pool", |status| status.ready && status.has_key).await?;
        self.show(0, "invite --uses 4");
        let ticket = self.nodes[0].run(&["-q", "invite", "--uses", "4"]).await?.output;
        let ticket = ticket.trim();
        self.say(&format!("    {}...", ticket.get(..40).unwrap_or(ticket)));
        Ok(ticket.to_owned())
    }

    async fn join(&mut self, ticket: &str) -> Result<(), DemoError> {
        self.say("\n2. Bob, Carol, Dave and Eve join from their homes.");
        let begun = Instant::now();
        for (who, name) in NAMES.iter().enumerate().skip(1) {
            self.show(who, "join -");
            let arguments = arguments(&self.folder, name);
            let join: Vec<&str> = ["join", "-"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
            self.nodes[who].start(&join, &format!("{ticket}\n")).await?;
        }
        for node in &mut self.nodes {
            node.wait("five members that know each other", |status| {
                status.ready && status.has_key && status.connected == 4
            })
            .await?;
        }
        self.say(&format!(
            "    After {:.1} s all five are connected to each other, and each can do everything.",
            begun.elapsed().as_secs_f64()
        ));
        Ok(())
    }

    async fn put(&mut self) -> Result<PathBuf, DemoError> {
        self.say("\n3. Bob stores his photos. They are encrypted on his machine; every file gets three copies at three sites.");
        let photos = self.folder.join("photos");
        make_photos(&photos).map_err(|error| DemoError::Io("make sample files", error))?;
        self.show(1, "put photos /");
        let path = photos.to_string_lossy().into_owned();
        let said = self.nodes[1].run(&["put", &path, "/"]).await?;
        self.say(&indented(&said.output));
        if said.code != Some(0) {
            return Err(DemoError::Wrong("with five nodes up, three copies should have been made at once".into()));
        }
        Ok(photos)
    }

    /// Tells who holds the film, and picks one of them that is not Bob, who asks.
    async fn holders(&mut self) -> Result<usize, DemoError> {
        self.show(1, "stat /photos/film.bin");
        let said = self.nodes[1].run(&["--json", "stat", "/photos/film.bin"]).await?.output;
        let stat: StatReply =
            serde_json::from_str(&said).map_err(|error| DemoError::Wrong(format!("stat answered {said}: {error}")))?;
        let placement = stat.placement.ok_or_else(|| DemoError::Wrong("stat did not say who holds the film".into()))?;
        for holder in placement.holders.iter().filter(|holder| holder.stored_blocks > 0) {
            let name = escape::name(holder.name.as_bytes());
            self.say(&format!("    {name} stores {} of its {} blocks", holder.stored_blocks, placement.blocks));
        }
        if placement.copies_min < 3 {
            return Err(DemoError::Wrong(format!("a block has only {} copies", placement.copies_min)));
        }
        let most =
            placement.holders.iter().filter(|holder| holder.name != NAMES[1]).max_by_key(|holder| holder.stored_blocks);
        most.and_then(|holder| NAMES.iter().position(|name| *name == holder.name))
            .ok_or_else(|| DemoError::Wrong("only Bob holds the film".into()))
    }

    async fn kill(&mut self, who: usize) -> Result<(), DemoError> {
        let name = person(who);
        self.say(&format!("\n4. The power goes out at {name}'s (kill -9)."));
        self.nodes[who].kill().await
    }

    async fn get(&mut self, dead: usize, photos: &Path) -> Result<(), DemoError> {
        let who = (1..NAMES.len()).rev().find(|who| *who != dead).unwrap_or(0);
        self.say(&format!("\n5. Meanwhile {} fetches Bob's photos all the same.", person(who)));
        self.show(who, "get /photos restored");
        let restored = self.folder.join("restored");
        let begun = Instant::now();
        let said = self.nodes[who].run(&["get", "/photos", &restored.to_string_lossy()]).await?;
        self.say(&indented(&said.output));
        let files = compare(photos, &restored)?;
        self.say(&format!("    {files} files, every byte the same, in {:.1} s.", begun.elapsed().as_secs_f64()));
        Ok(())
    }

    async fn restart(&mut self, who: usize) -> Result<(), DemoError> {
        let name = person(who);
        self.say(&format!(
            "\n6. {name}'s power is back. While it was out Bob stored one more file; {name} receives its share automatically."
        ));
        let note = self.folder.join("note.txt");
        fs::write(&note, "while you were out\n").map_err(|error| DemoError::Io("make a sample file", error))?;
        self.show(1, "put note.txt /");
        let said = self.nodes[1].run(&["put", &note.to_string_lossy(), "/"]).await?;
        self.say(&indented(&said.output));
        self.show(who, "up");
        self.nodes[who].start(&["up"], "").await?;
        self.nodes[who].wait("the return of a killed node", |status| status.ready && status.connected == 4).await?;
        self.show(who, "cat /note.txt");
        let said = self.nodes[who].run(&["cat", "/note.txt"]).await?.output;
        self.say(&indented(&said));
        if said != "while you were out\n" {
            return Err(DemoError::Wrong(format!("{name} read {said:?}")));
        }
        self.copies_complete().await
    }

    /// Waits until everything has all its copies again.
    async fn copies_complete(&mut self) -> Result<(), DemoError> {
        let end = Instant::now() + node::PATIENCE;
        loop {
            let said = self.nodes[1].run(&["--json", "stat", "/note.txt", "/photos/film.bin"]).await?;
            if said.code == Some(0) {
                self.say("    Everything has its three copies.");
                return Ok(());
            }
            if Instant::now() > end {
                return Err(DemoError::Wrong(format!("copies were not completed: {}", said.output)));
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }

    async fn stop(&mut self) -> Result<(), DemoError> {
        self.say("\n7. All nodes stop.");
        for node in &mut self.nodes {
            node.stop().await?;
        }
        Ok(())
    }

    /// Ends whatever still runs, however the story went.
    async fn end(mut self) {
        for node in &mut self.nodes {
            let _ = node.kill().await;
        }
    }
}

/// The owner of a node, as the story calls them.
fn person(who: usize) -> String {
    let (first, rest) = NAMES[who].split_at(1);
    first.to_uppercase() + rest
}

/// Each node is a site of its own, on loopback, with the least storage there is.
fn arguments(folder: &Path, name: &str) -> Vec<String> {
    let storage = format!("{}:1GiB", folder.join(name).join("blocks").display());
    ["--name", name, "--site", name, "--listen", "127.0.0.1:0", "--no-mdns", "--storage", &storage]
        .map(String::from)
        .to_vec()
}

fn make_photos(folder: &Path) -> std::io::Result<()> {
    let mut random = fastrand::Rng::new();
    fs::create_dir_all(folder.join("2026/summer"))?;
    for number in 1..=20 {
        let mut photo = vec![0; random.usize(1_000..200_000)];
        random.fill(&mut photo);
        fs::write(folder.join(format!("2026/summer/photo {number:02}.jpg")), photo)?;
    }
    let mut film = vec![0; FILM_BYTES];
    random.fill(&mut film);
    fs::write(folder.join("film.bin"), film)
}

/// Counts the files of `left` and sees that `right` has the same, byte for byte.
fn compare(left: &Path, right: &Path) -> Result<usize, DemoError> {
    let mut files = 0;
    for entry in fs::read_dir(left).map_err(|error| DemoError::Io("read sample files", error))? {
        let entry = entry.map_err(|error| DemoError::Io("read sample files", error))?;
        let other = right.join(entry.file_name());
        if entry.path().is_dir() {
            files += compare(&entry.path(), &other)?;
            continue;
        }
        let read = |path: &Path| fs::read(path).map_err(|error| DemoError::Io("read a file back", error));
        if read(&entry.path())? != read(&other)? {
            return Err(DemoError::Wrong(format!("{} came back changed", other.display())));
        }
        files += 1;
    }
    Ok(files)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_is_found() {
        let temp = tempfile::tempdir().expect("temp");
        let (left, right) = (temp.path().join("left"), temp.path().join("right"));
        for folder in [&left, &right] {
            fs::create_dir_all(folder.join("inner")).expect("dir");
            fs::write(folder.join("inner/a"), b"same").expect("file");
        }
        assert_eq!(compare(&left, &right).expect("same"), 1);
        fs::write(right.join("inner/a"), b"sama").expect("file");
        assert!(compare(&left, &right).is_err());
    }
}
