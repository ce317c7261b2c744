//! The user's own daemon as verbs see it: patient where waiting helps, and with every refusal turned into a sentence.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use fsdfs_node::control_client::{ControlClient, ControlError, Download, DownloadRange, FurtherAttributes};
use fsdfs_node::home::Home;
use fsdfs_proto::control::{
    self, EditRequest, EditsReply, ErrorCode, ListingEntry, ListingPage, StatReply, WriteReply,
};

use crate::outcome::{CliError, Exit};
use crate::program::ProgramName;
use crate::remote::RemotePath;

/// Entries asked for at once: enough to hide the round trip, few enough to show the first at once.
pub const PAGE: usize = 1_000;

/// A daemon that has just started answers "not yet" until it has heard of the others.
const PATIENCE: Duration = Duration::from_secs(10);

/// A handle on the daemon. Clones share connections.
#[derive(Clone, Debug)]
pub struct DaemonApi {
    client: ControlClient,
    program: ProgramName,
    home: Home,
}

type ApiResult<T> = Result<T, ControlError>;

impl DaemonApi {
    /// A handle on the daemon that `client` leads to; nothing is asked yet.
    pub fn new(client: ControlClient, program: ProgramName, home: Home) -> Self {
        Self { client, program, home }
    }

    /// A handle of which all changes are one piece of work: history keeps the last of its states.
    pub fn for_work(&self) -> Self {
        Self { client: self.client.for_work(fastrand::u64(..)), ..self.clone() }
    }

    /// For requests that wait for nothing.
    pub fn client(&self) -> &ControlClient {
        &self.client
    }

    /// Does it again while the daemon says that it is too early or that too much is under way.
    pub async fn patiently<T, F>(&self, ask: impl FnMut() -> F) -> ApiResult<T>
    where
        F: Future<Output = ApiResult<T>>,
    {
        let waits = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_secs(1))
            .with_total_delay(Some(PATIENCE))
            .without_max_times()
            .with_jitter();
        let is_early = |error: &ControlError| matches!(error.code(), Some(ErrorCode::NotYet | ErrorCode::Busy));
        ask.retry(waits).when(is_early).await
    }

    /// The entry, or none if there is none.
    pub async fn find(&self, path: &RemotePath) -> ApiResult<Option<ListingEntry>> {
        match self.stat(path, false).await {
            Ok(stat) => Ok(Some(stat.entry)),
            Err(error) if error.code() == Some(ErrorCode::NotFound) => Ok(None),
            // A file where a folder would have to be: below it is nothing.
            Err(error) if error.code() == Some(ErrorCode::NotAFolder) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Everything about an entry.
    pub async fn stat(&self, path: &RemotePath, blocks: bool) -> ApiResult<StatReply> {
        let bytes = path.bytes();
        self.patiently(|| self.client.stat(path.tree(), &bytes, blocks)).await
    }

    /// How safe everything below a path is.
    pub async fn safe(&self, path: &RemotePath, all: bool) -> ApiResult<control::SafetyReport> {
        let bytes = path.bytes();
        self.patiently(|| self.client.safe(&path.volume, &bytes, all)).await
    }

    /// The same, while holders prove what they have.
    pub async fn safe_proof(
        &self,
        path: &RemotePath,
        all: bool,
        on_progress: impl Fn(control::SafetyProgress),
    ) -> ApiResult<control::SafetyReport> {
        let bytes = path.bytes();
        self.patiently(|| self.client.safe_proof(&path.volume, &bytes, all, &on_progress)).await
    }

    /// One page of a folder.
    pub async fn list(&self, path: &RemotePath, after: Option<&[u8]>) -> ApiResult<ListingPage> {
        let bytes = path.bytes();
        self.patiently(|| self.client.list(path.tree(), &bytes, after, PAGE)).await
    }

    /// The same, with the contents of small files as far as they can be read and the page has room for them.
    pub async fn list_with_contents(&self, path: &RemotePath, after: Option<&[u8]>) -> ApiResult<ListingPage> {
        let (bytes, bounds) = (path.bytes(), (PAGE, control::CONTENTS_MAX));
        self.patiently(|| self.client.list_with_contents(path.tree(), &bytes, after, bounds)).await
    }

    /// Many small changes in one commit.
    pub async fn edit(&self, volume: &str, edits: Vec<EditRequest>) -> ApiResult<EditsReply> {
        let edits = control::EditsRequest { volume: volume.to_owned(), edits, work: None };
        self.patiently(|| self.client.edit(&edits)).await
    }

    /// The earlier states of a volume; with a path also what each of them has there.
    pub async fn history(&self, volume: &str, path: Option<&RemotePath>) -> ApiResult<control::HistoryReply> {
        let bytes = path.map(RemotePath::bytes);
        self.patiently(|| self.client.history(volume, bytes.as_deref())).await
    }

    /// Changes which earlier states are kept.
    pub async fn change_history(&self, change: &control::HistoryChange) -> ApiResult<WriteReply> {
        self.patiently(|| self.client.change_history(change)).await
    }

    /// Stores a small file whose bytes are here.
    pub async fn put_bytes(
        &self,
        path: &RemotePath,
        attrs: (control::EntryAttributes, &FurtherAttributes),
        bytes: Bytes,
    ) -> ApiResult<WriteReply> {
        let to = path.bytes();
        self.patiently(|| self.client.put_with(&path.volume, &to, attrs, bytes.clone())).await
    }

    /// Opens a file for reading.
    pub async fn download(&self, path: &RemotePath, range: &DownloadRange) -> ApiResult<Download> {
        let bytes = path.bytes();
        self.patiently(|| self.client.download(path.tree(), &bytes, range)).await
    }

    /// Where a file has holes, from a place on.
    pub async fn holes(&self, path: &RemotePath, from: u64) -> ApiResult<control::HoleListing> {
        let bytes = path.bytes();
        self.patiently(|| self.client.holes(path.tree(), &bytes, from)).await
    }

    /// Whether everything else would fail, too, or would have to be undone: there is no point in going on.
    pub fn is_final(error: &ControlError) -> bool {
        match error {
            ControlError::NotRunning { .. }
            | ControlError::ForeignServer { .. }
            | ControlError::Client(_)
            | ControlError::Handle(_)
            | ControlError::BadAnswer(_) => true,
            ControlError::Broken(_) => false,
            ControlError::Refused(refused) => matches!(
                refused.code,
                ErrorCode::NoSpace
                    | ErrorCode::Forbidden
                    | ErrorCode::NotYet
                    | ErrorCode::Clock
                    | ErrorCode::DuplicateIdentity
                    | ErrorCode::Disk
                    | ErrorCode::Stopping
            ),
        }
    }

    /// Whether a command that looks at several paths has nothing more to ask.
    pub fn ends_all(error: &ControlError) -> bool {
        Self::is_final(error) || matches!(error, ControlError::Broken(_))
    }

    /// What is wrong in a sentence, and what to do.
    pub fn problem(&self, error: &ControlError) -> CliError {
        self.problem_of(error, None)
    }

    /// The same, with the path in commands that are to be typed.
    pub fn problem_about(&self, path: &RemotePath, error: &ControlError) -> CliError {
        self.problem_of(error, Some(path))
    }

    fn problem_of(&self, error: &ControlError, path: Option<&RemotePath>) -> CliError {
        match error {
            ControlError::NotRunning { .. } => self.not_running(),
            ControlError::Refused(error) => {
                let path = path.map(RemotePath::to_os_string);
                let text = |text: &str| self.program.in_hint_about(text, path.as_deref());
                CliError { what: text(&error.error), next: text(&error.hint), code: Some(error.code) }
            }
            ControlError::Broken(_) if self.is_down() => CliError::new(
                "the daemon stopped during this request",
                format!("see its log, start it again, and repeat this (it is safe): {}", self.program.command("up")),
            ),
            ControlError::Broken(broken) => CliError::new(
                format!("the connection to the daemon broke{}", causes(broken)),
                format!(
                    "repeat this; it is safe. If it fails again, see the daemon's log, or: {}",
                    self.program.command("status")
                ),
            ),
            ControlError::BadAnswer(_) => CliError::new(
                error.to_string(),
                format!("stop it: {}   then start it: {}", self.program.command("down"), self.program.command("up")),
            ),
            ControlError::ForeignServer { .. } => CliError::new(
                error.to_string(),
                "choose a home folder of this user with --home DIR; to use another user's node, that user sets control_group \
                 in its config.toml, and its home folder lies in no folder that everybody can write to",
            ),
            ControlError::Client(_) | ControlError::Handle(_) => CliError::new(format!("{error}{}", causes(error)), ""),
        }
    }

    /// The same, ready to end a verb with.
    pub fn stop(&self, error: &ControlError) -> Exit {
        self.problem(error).into()
    }

    /// What is wrong with this path.
    pub fn problem_at(&self, path: &RemotePath, error: &ControlError) -> CliError {
        let mut problem = self.problem_about(path, error);
        // What is wrong with the daemon is not wrong with a path.
        if matches!(error, ControlError::Refused(_)) {
            problem.what = format!("{path}: {}", problem.what);
        }
        problem
    }

    /// The same, ready to end a verb with.
    pub fn stop_at(&self, path: &RemotePath, error: &ControlError) -> Exit {
        self.problem_at(path, error).into()
    }

    fn is_down(&self) -> bool {
        self.knock().is_err()
    }

    /// The plain system error, which an HTTP client hides.
    fn knock(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.home.socket())
    }

    fn not_running(&self) -> CliError {
        let home = crate::text::escape::name(self.home.dir().as_os_str().as_encoded_bytes());
        if self.knock().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
            let next = "run this as its user, or have its owner set control_group in config.toml";
            return CliError::new(format!("this user has no access to the node of {home}"), next);
        }
        let up = self.program.command("up");
        if self.home.has_pool() {
            let service = crate::service_unit::start_command(self.home.dir());
            let start = service.map_or_else(|| up.clone(), |service| format!("{service}   or in a terminal: {up}"));
            CliError::new(format!("fsdfs is not running with the home folder {home}"), format!("start it: {start}"))
        } else {
            let join = self.program.command("join -");
            let next = format!("create a new pool: {up}\n  or join an existing one: {join}");
            CliError::new(format!("there is no pool in {home} yet"), next)
        }
    }
}

/// What lies behind an error. (Its own text names a URL that means nothing to a person.)
fn causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source()).map(|cause| format!(": {cause}")).collect()
}
