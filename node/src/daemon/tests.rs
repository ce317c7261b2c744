//! Whole nodes in this process, spoken to over their control sockets.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use fsdfs_proto::control::{
    EditRequest, EditResult, EditsRequest, EntryAttributes, EntryKind, ErrorCode, EscapedText, MemberPresence,
    NewInvite, POOL_VOLUME, SafetyVerdict, WriteOutcome, WriteReply,
};
use fsdfs_proto::identity::Ticket;
use futures::TryStreamExt as _;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{DaemonError, DaemonReady, run};
use crate::config::StorageArg;
use crate::control_client::{ControlClient, ControlError, DownloadRange};
use crate::home::{Home, Setup};

/// Far more than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct TestNode {
    home: Home,
    client: ControlClient,
    ready: DaemonReady,
    readies: mpsc::UnboundedReceiver<DaemonReady>,
    task: JoinHandle<Result<(), DaemonError>>,
    folder: TempDir,
}

fn setup(name: &str, folder: &TempDir) -> Setup {
    let storage = StorageArg { path: folder.path().join("blocks"), quota_bytes: Some(1 << 30) };
    Setup {
        name: Some(name.into()),
        storage: Some(vec![storage]),
        listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        mdns: Some(false),
        ..Setup::default()
    }
}

impl TestNode {
    async fn found(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::locate(Some(&folder.path().join("home"))).expect("named");
        home.lock().expect("free").found(&setup(name, &folder)).expect("founded");
        Self::up(home, folder).await
    }

    async fn join(name: &str, ticket: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::locate(Some(&folder.path().join("home"))).expect("named");
        let ticket: Ticket = ticket.parse().expect("whole");
        home.lock().expect("free").join(&setup(name, &folder), &ticket).expect("joined");
        Self::up(home, folder).await
    }

    async fn up(home: Home, folder: TempDir) -> Self {
        let (ready_in, mut readies) = mpsc::unbounded_channel();
        let locked = home.lock().expect("free");
        let task = tokio::spawn(async move { run(&locked, move |ready| drop(ready_in.send(ready.clone()))).await });
        let ready = tokio::time::timeout(PATIENCE, readies.recv()).await.expect("in time");
        let Some(ready) = ready else { panic!("the daemon did not start: {:?}", task.await) };
        let client = ControlClient::new(&ready.socket).expect("a client");
        Self { home, client, ready, readies, task, folder }
    }

    async fn stop(self) -> (Home, TempDir) {
        self.client.shutdown().await.expect("told to stop");
        tokio::time::timeout(PATIENCE, self.task).await.expect("in time").expect("no panic").expect("a clean end");
        (self.home, self.folder)
    }

    async fn put(&self, path: &str, content: &[u8]) -> WriteReply {
        let attrs = EntryAttributes { mode: 0o640, mtime_ns: 1_234_567_890_123_456_789 };
        let body = Bytes::copy_from_slice(content);
        self.client.put(POOL_VOLUME, path.as_bytes(), attrs, body).await.expect("stored")
    }

    async fn get(&self, path: &str, range: DownloadRange) -> Result<Vec<u8>, ControlError> {
        let download = self.client.download(POOL_VOLUME, path.as_bytes(), &range).await?;
        let pieces: Vec<Bytes> = download.content().try_collect().await?;
        Ok(pieces.concat())
    }

    /// What a folder holds, as soon as the node can tell.
    async fn names(&self, path: &str) -> Vec<String> {
        loop {
            match self.client.list(POOL_VOLUME, path.as_bytes(), None, 100).await {
                Ok(page) => return page.entries.into_iter().map(|entry| entry.name).collect(),
                Err(error) => assert_eq!(error.code(), Some(ErrorCode::NotYet), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks until a file is given back. On a busy machine what another node wrote may not have been heard of yet, or a
    /// block may not come in time; other bytes may never come.
    async fn gives_back(&self, path: &str, content: &[u8]) {
        let is_there = || async {
            let got = self.get(path, DownloadRange::Whole).await;
            if let Ok(got) = &got {
                assert!(got == content, "other bytes of {path}");
            }
            got.is_ok()
        };
        eventually(path, is_there).await;
    }

    /// Waits until a file or folder has three copies. A node that does not answer within a second gets its copy later.
    async fn completes(&self, path: &str) {
        let has_copies = || async {
            let stat = self.client.stat(POOL_VOLUME, path.as_bytes(), true).await;
            stat.is_ok_and(|stat| stat.placement.is_some_and(|placement| placement.copies_min == 3))
        };
        eventually(&format!("three copies of {path}"), has_copies).await;
    }

    async fn invite(&self) -> String {
        self.client.invite(&NewInvite::default()).await.expect("invited").ticket
    }
}

/// Asks until the answer is as wanted.
async fn eventually<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let asking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, asking).await.is_ok(), "not in time: {what}");
}

/// Bytes that do not repeat, so that no two chunks are equal.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_stores_lists_gives_back_and_removes() {
    let node = TestNode::found("zoe").await;
    let large = noise((3 << 20) + 4567, 1);
    for (path, content) in [("/empty", &b""[..]), ("/a/small", b"hello"), ("/a/large", &large)] {
        let written = node.put(path, content).await;
        assert_eq!((written.outcome, written.copies, written.target_copies), (WriteOutcome::Degraded, 1, 3), "{path}");
        assert_eq!((written.bytes, written.unchanged), (content.len() as u64, false));
        assert_eq!(node.get(path, DownloadRange::Whole).await.expect("there"), content, "{path}");
    }
    assert_eq!(node.names("/").await, ["a", "empty"]);
    let again = node.put("/a/large", &large).await;
    assert_eq!((again.uploaded_bytes, again.unchanged), (0, true), "nothing is uploaded twice");

    let part = node.get("/a/large", DownloadRange::From(1_000_000, Some(2_100_000))).await.expect("there");
    assert_eq!(part, large[1_000_000..2_100_000]);
    let tail = node.get("/a/large", DownloadRange::Last(3)).await.expect("there");
    assert_eq!(tail, large[large.len() - 3..]);
    let outside = node.get("/a/large", DownloadRange::From(large.len() as u64, None)).await.expect_err("outside");
    assert_eq!(outside.code(), Some(ErrorCode::BadRange));

    let stat = node.client.stat(POOL_VOLUME, b"/a/large", true).await.expect("there");
    assert_eq!((stat.entry.mode, stat.entry.mtime_ns), (0o640, 1_234_567_890_123_456_789));
    let placement = stat.placement.expect("asked for");
    assert_eq!((placement.blocks, placement.copies_min, placement.holders.len()), (5, 1, 1), "4 chunks, 1 manifest");

    let removed = node.client.remove(POOL_VOLUME, b"/a", false).await.expect_err("it has content");
    assert_eq!(removed.code(), Some(ErrorCode::NotEmpty));
    node.client.remove(POOL_VOLUME, b"/a", true).await.expect("removed");
    assert_eq!(node.get("/a/large", DownloadRange::Whole).await.expect_err("gone").code(), Some(ErrorCode::NotFound));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let node = TestNode::found("zoe").await;
    let content = noise(2 << 20, 2);
    node.put("/kept", &content).await;
    let (home, folder) = node.stop().await;
    let node = TestNode::up(home, folder).await;
    assert_eq!(node.get("/kept", DownloadRange::Whole).await.expect("there"), content);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_edits_in_one_request_succeed_or_fail_by_themselves() {
    let node = TestNode::found("zoe").await;
    let name = [b"/f/not utf-8 \xff\n".as_slice(), &[b'x'; 200]].concat();
    let attrs = Some(EntryAttributes { mode: 0o750, mtime_ns: -5 });
    let edits = vec![
        EditRequest::Folder { path: EscapedText(b"/f".to_vec()), attrs, xattrs: Vec::new(), fresh: true },
        EditRequest::Link { path: EscapedText(name.clone()), target: EscapedText(b"../\xfe".to_vec()), mtime_ns: 7 },
        EditRequest::Folder { path: EscapedText(b"/f".to_vec()), attrs: None, xattrs: Vec::new(), fresh: true },
        EditRequest::Move { from: EscapedText(name.clone()), to: EscapedText(b"/g".to_vec()) },
        EditRequest::Remove { path: EscapedText(b"/nothing".to_vec()), recursive: false },
    ];
    let edited =
        node.client.edit(&EditsRequest { volume: POOL_VOLUME.into(), edits, work: None }).await.expect("committed");
    let code = |result: &EditResult| match result {
        EditResult::Failed(error) => Err(error.code),
        EditResult::Changed => Ok(true),
        EditResult::Unchanged => Ok(false),
    };
    let codes: Vec<_> = edited.edits.iter().map(code).collect();
    assert_eq!(codes, [Ok(true), Ok(true), Err(ErrorCode::Exists), Ok(true), Err(ErrorCode::NotFound)]);
    let page = node.client.list(POOL_VOLUME, b"/", None, 10).await.expect("listed");
    let [folder, link] = page.entries.as_slice() else { panic!("{page:?}") };
    assert_eq!((folder.kind, folder.mode, folder.mtime_ns), (EntryKind::Folder, 0o750, -5));
    assert_eq!((link.kind, link.raw_target()), (EntryKind::Link, Some(b"../\xfe".to_vec())));
    let first = node.client.list(POOL_VOLUME, b"/", None, 1).await.expect("listed");
    assert!(first.more && first.entries == page.entries[..1]);
    let rest = node.client.list(POOL_VOLUME, b"/", Some(b"f"), 1).await.expect("listed");
    assert!(!rest.more && rest.entries == page.entries[1..]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_requests_are_told_what_is_wrong_and_change_nothing() {
    let node = TestNode::found("zoe").await;
    let client = &node.client;
    let attrs = EntryAttributes { mode: 0o644, mtime_ns: 0 };
    for (path, code) in
        [(&b"no slash"[..], ErrorCode::BadRequest), (b"/a/../b", ErrorCode::BadName), (b"/\0", ErrorCode::BadName)]
    {
        let error = client.put(POOL_VOLUME, path, attrs, "x").await.expect_err("refused");
        assert_eq!(error.code(), Some(code), "{error}");
    }
    let error = client.put("other", b"/a", attrs, "x").await.expect_err("no such volume");
    assert_eq!(error.code(), Some(ErrorCode::NotFound));
    let error = client.join("fsdfs-ticket-1:AAAA").await.expect_err("cut in half");
    assert_eq!(error.code(), Some(ErrorCode::BadRequest), "{error}");
    for member in ["nobody", "zoe"] {
        assert!(client.revoke_member(member, false, "").await.is_err(), "{member}");
    }
    assert!(client.revoke_invite("12345678").await.is_err());
    assert!(node.names("/").await.is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_goes_away_stores_nothing() {
    let node = TestNode::found("zoe").await;
    let pieces = futures::stream::iter((0..4).map(|seed| Ok(Bytes::from(noise(1 << 20, seed)))));
    let broken = pieces_then_error(pieces);
    let attrs = EntryAttributes { mode: 0o644, mtime_ns: 0 };
    let put = node.client.put(POOL_VOLUME, b"/broken", attrs, reqwest::Body::wrap_stream(broken)).await;
    assert!(put.is_err(), "{put:?}");
    assert!(node.names("/").await.is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_storage_leaves_its_own_pool_for_another() {
    let zoe = TestNode::found("zoe").await;
    let folder = tempfile::tempdir().expect("a folder");
    let home = Home::locate(Some(&folder.path().join("home"))).expect("named");
    let setup = Setup { storage: Some(Vec::new()), ..setup("yan", &folder) };
    home.lock().expect("free").found(&setup).expect("founded");
    let mut yan = TestNode::up(home, folder).await;
    yan.client.join(&zoe.invite().await).await.expect("nothing can have been stored there");
    let ready = tokio::time::timeout(PATIENCE, yan.readies.recv()).await.expect("in time").expect("up again");
    assert_eq!(ready.pool, zoe.ready.pool);
    yan.stop().await;
    zoe.stop().await;
}

fn pieces_then_error(
    pieces: impl futures::Stream<Item = Result<Bytes, std::io::Error>>,
) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> {
    use futures::StreamExt as _;
    pieces.chain(futures::stream::iter([Err(std::io::Error::other("the program was killed"))]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_hold_every_file_and_any_one_of_them_gives_it_back() {
    let zoe = TestNode::found("zoe").await;
    let early = noise((2 << 20) + 11, 3);
    zoe.put("/early", &early).await;
    let yan = TestNode::join("yan", &zoe.invite().await).await;
    let xin = TestNode::join("xin", &zoe.invite().await).await;
    for node in [&zoe, &yan, &xin] {
        eventually("everybody is up and has the key", || async {
            let (status, members) = (node.client.status().await.expect("up"), node.client.members().await.expect("up"));
            let up = members
                .members
                .iter()
                .filter(|member| member.presence == MemberPresence::Up && member.connected)
                .count();
            status.has_key && status.ready && up == 3
        })
        .await;
    }
    let late = noise((5 << 20) + 3, 4);
    yan.put("/late", &late).await;
    // Asked by the node that puts it again: then it knows of it, too.
    xin.completes("/late").await;
    let again = xin.put("/again", &late).await;
    assert_eq!(again.uploaded_bytes, 0, "equal content is there: {again:?}");
    for node in [&zoe, &yan, &xin] {
        // The first was put before the others joined.
        for path in ["/early", "/late", "/again", "/"] {
            node.completes(path).await;
        }
    }

    let safety = |node: &TestNode| {
        let client = node.client.clone();
        async move { client.safe(POOL_VOLUME, b"/", false).await.expect("answered") }
    };
    eventually("all is safe", || async { safety(&xin).await.verdict == SafetyVerdict::Safe }).await;
    let all = safety(&xin).await;
    assert_eq!((all.sites_may_fail, all.copies_min, all.short_blocks, all.unreadable_blocks), (2, 3, 0, 0), "{all:?}");
    // 3 chunks and a manifest of one file, 6 and 1 of the others, which are equal, and the folder.
    assert_eq!((all.blocks, all.checked_blocks, all.missing.len()), (12, 12, 0), "{all:?}");
    assert!(all.checked_bytes > 7 << 20 && all.verified_blocks == 12, "{all:?}");
    let small = xin.client.safe(POOL_VOLUME, b"/early", false).await.expect("answered");
    assert_eq!(small.blocks, 5, "its folder's block, too: {small:?}");

    let (zoe_home, zoe_folder) = zoe.stop().await;
    let without = safety(&xin).await;
    assert_eq!((without.verdict, without.short_blocks, without.sites_may_fail), (SafetyVerdict::AtRisk, 12, 1));
    assert_eq!(without.missing.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), ["zoe"]);
    for node in [&yan, &xin] {
        node.gives_back("/early", &early).await;
        node.gives_back("/late", &late).await;
    }
    yan.stop().await;
    let alone = safety(&xin).await;
    assert_eq!((alone.verdict, alone.copies_min, alone.sites_may_fail), (SafetyVerdict::AtRisk, 1, 0));
    xin.gives_back("/late", &late).await;
    let zoe = TestNode::up(zoe_home, zoe_folder).await;
    eventually("the restarted node lists the same", || async { zoe.names("/").await == ["again", "early", "late"] })
        .await;
    zoe.stop().await;
    xin.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_node_with_an_empty_pool_joins_another() {
    let zoe = TestNode::found("zoe").await;
    let mut mistaken = TestNode::found("yan").await;
    mistaken.put("/something", b"kept").await;
    let ticket = zoe.invite().await;
    let error = mistaken.client.join(&ticket).await.expect_err("it holds files");
    assert_eq!(error.code(), Some(ErrorCode::PoolInUse));
    mistaken.client.remove(POOL_VOLUME, b"/something", false).await.expect("removed");

    let joined = mistaken.client.join(&ticket).await.expect("joined");
    assert_eq!(joined.pool, zoe.ready.pool.to_string());
    let ready = tokio::time::timeout(PATIENCE, mistaken.readies.recv()).await.expect("in time").expect("up again");
    assert_eq!((ready.pool, ready.node == mistaken.ready.node), (zoe.ready.pool, false));
    eventually("it is a member", || async {
        zoe.client.members().await.expect("up").members.iter().any(|member| member.name == "yan" && member.connected)
    })
    .await;
    mistaken.stop().await;
    zoe.stop().await;
}
