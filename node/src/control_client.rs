//! Talks to a running daemon over its control socket (spec 07-control). Used by the command line and by tests.

mod pinned_socket;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fsdfs_proto::control::{self, ErrorCode, header, query, route};
use futures::{Stream, TryStreamExt as _};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::pinned_socket::{NotServed, PinnedSocket};

/// What can go wrong between a program and its own daemon.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens: the daemon is not running (or runs with another home folder). Nothing was changed.
    #[error("no fsdfs daemon answers at {}", .socket.display())]
    NotRunning {
        /// Where it should listen.
        socket: PathBuf,
    },
    /// Another user listens there, whom nothing was told.
    #[error("the daemon at {} is another user's (number {user}); nothing was sent to it", .socket.display())]
    ForeignServer {
        /// Where.
        socket: PathBuf,
        /// Whose it is.
        user: u32,
    },
    /// The daemon said no, why, and what to do.
    #[error("{0}")]
    Refused(control::ApiError),
    /// The connection broke on the way. Whether a change was made is not known; doing it again is safe.
    #[error("the connection to the daemon broke: {0}")]
    Broken(#[source] reqwest::Error),
    /// The answer is not of this version's API.
    #[error("the daemon's answer is not understood ({0}): is it another version of fsdfs? Restart it")]
    BadAnswer(String),
    /// The HTTP client could not be made; a fault of this machine.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[source] reqwest::Error),
    /// Not even an empty file could be opened; a fault of this machine.
    #[error("cannot open /dev/null: {0}")]
    Handle(#[source] std::io::Error),
}

impl ControlError {
    /// Why the daemon refused, if it did.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(error) => Some(error.code),
            _ => None,
        }
    }
}

/// A connection pool to one daemon. Clones share it.
#[derive(Clone, Debug)]
pub struct ControlClient {
    http: reqwest::Client,
    socket: PathBuf,
    pinned: Arc<PinnedSocket>,
    /// All changes made through this handle are one piece of work.
    work: Option<String>,
}

/// What is read: a volume as it is, or as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeName<'a> {
    /// Which volume.
    pub volume: &'a str,
    /// The earlier state, as the history lists it; none = what stands now.
    pub state: Option<&'a str>,
}

impl<'a> From<&'a str> for VolumeName<'a> {
    fn from(volume: &'a str) -> Self {
        Self { volume, state: None }
    }
}

impl VolumeName<'_> {
    fn parameters(&self) -> Vec<(&'static str, &[u8])> {
        let state = self.state.map(|state| ("state", state.as_bytes()));
        std::iter::once(("volume", self.volume.as_bytes())).chain(state).collect()
    }
}

/// Bytes of one line of an answer that comes in lines at most: a report names each member a few times.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Which bytes of a file are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DownloadRange {
    /// All.
    #[default]
    Whole,
    /// From the first of these bytes to before the second, or to the end.
    From(u64, Option<u64>),
    /// This number of bytes at the end, or all if there are fewer.
    Last(u64),
    /// What follows this number of bytes of the content of that tag; all if the file has another content now.
    Rest(u64, String),
    /// These bytes of the content of that tag, one at least; all if the file has another content now.
    Part(Range<u64>, String),
}

impl DownloadRange {
    /// Values of the headers `range` and `if-range`.
    fn headers(&self) -> (Option<String>, Option<&str>) {
        match self {
            Self::Whole => (None, None),
            Self::From(first, Some(end)) => (Some(format!("bytes={first}-{}", end.saturating_sub(1))), None),
            Self::From(first, None) => (Some(format!("bytes={first}-")), None),
            Self::Last(count) => (Some(format!("bytes=-{count}")), None),
            Self::Rest(first, tag) => (Some(format!("bytes={first}-")), Some(tag)),
            Self::Part(bytes, tag) => {
                (Some(format!("bytes={}-{}", bytes.start, bytes.end.saturating_sub(1))), Some(tag))
            }
        }
    }
}

/// What a file may have beside mode and time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FurtherAttributes {
    /// Extended attributes.
    pub xattrs: Vec<control::ExtendedAttribute>,
    /// What the names of one file have in common, 32 hexadecimal digits.
    pub hard_link: Option<String>,
    /// Bytes that are zeros and that the body lacks, as [`header::HOLES`] has them.
    pub holes: Vec<Range<u64>>,
}

impl FurtherAttributes {
    fn holes_text(&self) -> Option<String> {
        let part = |hole: &Range<u64>| format!("{}-{}", hole.start, hole.end.saturating_sub(1));
        let parts: Vec<String> = self.holes.iter().map(part).collect();
        (!parts.is_empty()).then(|| format!("bytes={}", parts.join(",")))
    }
}

/// A file on its way out of the pool.
#[derive(Debug)]
pub struct Download {
    /// Equal for equal contents only.
    pub tag: String,
    /// Whether a part comes, as it was asked for; otherwise the whole file does.
    pub is_part: bool,
    /// Size of the whole file.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Modification time.
    pub mtime_ns: i64,
    /// Extended attributes.
    pub xattrs: Vec<control::ExtendedAttribute>,
    /// Newer changes may exist.
    pub maybe_stale: bool,
    /// A member acknowledged changes that this version of the file may lack.
    pub maybe_incomplete: bool,
    response: Response,
}

impl Download {
    /// The content, in order. It ends with an error if the daemon could not read on: a clean end is a whole file.
    pub fn content(self) -> impl Stream<Item = Result<Bytes, ControlError>> + Unpin {
        Box::pin(self.response.bytes_stream().map_err(ControlError::Broken))
    }
}

type Outcome<T> = Result<T, ControlError>;

impl ControlClient {
    /// A client for the daemon that listens at `socket`. Does not connect yet.
    pub fn new(socket: &Path) -> Outcome<Self> {
        let pinned = PinnedSocket::new(socket).map_err(ControlError::Handle)?;
        let builder = reqwest::Client::builder().no_proxy().unix_socket(pinned.way());
        let http = builder.build().map_err(ControlError::Client)?;
        Ok(Self { http, socket: socket.to_owned(), pinned: Arc::new(pinned), work: None })
    }

    /// A handle of which all changes are one piece of work, however many requests they take: of its states history keeps the last.
    pub fn for_work(&self, work: u64) -> Self {
        Self { work: Some(format!("{work:016x}")), ..self.clone() }
    }

    /// State of node and pool.
    pub async fn status(&self) -> Outcome<control::NodeStatus> {
        self.get(route::STATUS, &[]).await
    }

    /// All members.
    pub async fn members(&self) -> Outcome<control::MemberListing> {
        self.get(route::MEMBERS, &[]).await
    }

    /// Revokes a member, by name or id; on request those whom it invited, too.
    pub async fn revoke_member(
        &self,
        member: &str,
        with_invited: bool,
        reason: &str,
    ) -> Outcome<control::MemberRevokeReply> {
        let with_invited: &[u8] = if with_invited { b"true" } else { b"false" };
        let query = [("reason", reason.as_bytes()), ("with_invited", with_invited)];
        let path = self.url(&route::MEMBER.replace("{member}", &segment(member)), &query);
        answer(self.send(self.http.delete(path)).await?).await
    }

    /// Revokes a member with the pool's root key.
    pub async fn revoke_with_root_key(
        &self,
        member: &str,
        order: &control::RootRevocation,
    ) -> Outcome<control::MemberRevokeReply> {
        self.post(&route::MEMBER_REVOCATION.replace("{member}", &segment(member)), order).await
    }

    /// The admins.
    pub async fn admins(&self) -> Outcome<control::AdminListing> {
        self.get(route::ADMINS, &[]).await
    }

    /// Adds an admin, or takes one off the list.
    pub async fn change_admins(&self, change: &control::AdminChange) -> Outcome<control::AdminListing> {
        self.post(route::ADMINS, change).await
    }

    /// Which root key counts.
    pub async fn root_key(&self) -> Outcome<control::RootKeyAnswer> {
        self.get(route::ROOT_KEY, &[]).await
    }

    /// Puts a later root key in the place of the one that counts.
    pub async fn replace_root_key(&self, new: &control::RootKeyReplacement) -> Outcome<control::RootKeyAnswer> {
        self.post(route::ROOT_KEY, new).await
    }

    /// The pool's rules.
    pub async fn rules(&self) -> Outcome<control::PoolRulesAnswer> {
        self.get(route::RULES, &[]).await
    }

    /// States other rules.
    pub async fn change_rules(&self, change: &control::RulesChange) -> Outcome<control::PoolRulesAnswer> {
        self.post(route::RULES, change).await
    }

    /// When the node is away.
    pub async fn absence(&self) -> Outcome<control::AbsenceAnswer> {
        self.get(route::ABSENCE, &[]).await
    }

    /// Announces when the node is away.
    pub async fn change_absence(&self, change: &control::AbsenceChange) -> Outcome<control::AbsenceAnswer> {
        self.post(route::ABSENCE, change).await
    }

    /// How far the node has handed over what it holds.
    pub async fn drain(&self) -> Outcome<control::DrainAnswer> {
        self.get(route::DRAIN, &[]).await
    }

    /// Drains the node, or makes it a holder again.
    pub async fn change_drain(&self, drain: bool) -> Outcome<control::DrainAnswer> {
        self.post(route::DRAIN, &control::DrainChange { drain }).await
    }

    /// Removes a member, given by name or id, for good; or the node itself.
    pub async fn remove_member(&self, member: &str) -> Outcome<control::MemberRemoveReply> {
        self.post(&route::MEMBER_REMOVAL.replace("{member}", &segment(member)), &()).await
    }

    /// What the node may use of its line.
    pub async fn bandwidth(&self) -> Outcome<control::BandwidthAnswer> {
        self.get(route::BANDWIDTH, &[]).await
    }

    /// Changes that until the node ends, or for a time.
    pub async fn change_bandwidth(&self, change: &control::BandwidthRequest) -> Outcome<control::BandwidthAnswer> {
        self.post(route::BANDWIDTH, change).await
    }

    /// States that a member, given by name or id, stands for itself.
    pub async fn vouch_for_member(&self, member: &str, vouch: &control::NewVouch) -> Outcome<control::VouchReply> {
        self.post(&route::MEMBER.replace("{member}", &segment(member)), vouch).await
    }

    /// Dials an address without knowing who answers there.
    pub async fn meet(&self, order: &control::MeetOrder) -> Outcome<control::MeetAnswer> {
        self.post(route::MEET, order).await
    }

    /// Makes an invitation.
    pub async fn invite(&self, new: &control::NewInvite) -> Outcome<control::InviteReply> {
        self.post(route::INVITES, new).await
    }

    /// All invitations.
    pub async fn invites(&self) -> Outcome<control::InviteListing> {
        self.get(route::INVITES, &[]).await
    }

    /// Revokes an invitation, by id or an unambiguous beginning of it.
    pub async fn revoke_invite(&self, invite: &str) -> Outcome<control::RevokeReply> {
        let path = self.url(&route::INVITE.replace("{invite}", &segment(invite)), &[]);
        answer(self.send(self.http.delete(path)).await?).await
    }

    /// Space.
    pub async fn df(&self) -> Outcome<control::SpaceReport> {
        self.get(route::DF, &[]).await
    }

    /// The disks of this node.
    pub async fn disks(&self) -> Outcome<control::DiskListing> {
        self.get(route::DISKS, &[]).await
    }

    /// Begins a new disk in a storage folder whose disk is lost.
    pub async fn begin_disk(&self, new: &control::NewDisk) -> Outcome<control::NewDiskReply> {
        self.post(route::DISKS, new).await
    }

    /// Where the bytes of this node's disks are.
    pub async fn disk_space(&self) -> Outcome<control::DiskSpaceListing> {
        self.get(route::DISK_SPACE, &[]).await
    }

    /// How far the disks are emptied that are to be.
    pub async fn disk_drains(&self) -> Outcome<control::DiskDrainListing> {
        self.get(route::DISK_DRAIN, &[]).await
    }

    /// Has a disk emptied, or ends that.
    pub async fn change_disk_drain(&self, change: &control::DiskDrainChange) -> Outcome<control::DiskDrainAnswer> {
        self.post(route::DISK_DRAIN, change).await
    }

    /// How safe everything below a path is.
    pub async fn safe(&self, volume: &str, path: &[u8], all: bool) -> Outcome<control::SafetyReport> {
        let all: &[u8] = if all { b"true" } else { b"false" };
        self.get(route::SAFE, &[("volume", volume.as_bytes()), ("path", path), ("all", all)]).await
    }

    /// The same, while holders prove what they have; `on_progress` hears how far that is.
    pub async fn safe_proof(
        &self,
        volume: &str,
        path: &[u8],
        all: bool,
        mut on_progress: impl FnMut(control::SafetyProgress),
    ) -> Outcome<control::SafetyReport> {
        let all: &[u8] = if all { b"true" } else { b"false" };
        let url = self.url(route::SAFE_PROOF, &[("volume", volume.as_bytes()), ("path", path), ("all", all)]);
        let mut parts = fine(self.send(self.http.get(url)).await?).await?.bytes_stream();
        let mut text = Vec::new();
        while let Some(part) = parts.try_next().await.map_err(ControlError::Broken)? {
            text.extend_from_slice(&part);
            if text.len() > LINE_BYTES_MAX {
                return Err(ControlError::BadAnswer("a line without end".into()));
            }
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                match serde_json::from_slice(&line).map_err(|error| ControlError::BadAnswer(error.to_string()))? {
                    control::SafetyProofLine::Progress(progress) => on_progress(progress),
                    control::SafetyProofLine::Report(report) => return Ok(*report),
                    control::SafetyProofLine::Error(error) => return Err(ControlError::Refused(error)),
                }
            }
        }
        Err(ControlError::BadAnswer("it ended without a report".into()))
    }

    /// What the pool holds and can lose.
    pub async fn plan(&self) -> Outcome<control::PoolPlan> {
        self.get(route::PLAN, &[]).await
    }

    /// What a change would move.
    pub async fn what_if(&self, change: &[(&str, &[u8])]) -> Outcome<control::ChangePlan> {
        self.get(route::PLAN_CHANGE, change).await
    }

    /// Stores one file, atomically: a body that breaks off stores nothing.
    pub async fn put(
        &self,
        volume: &str,
        path: &[u8],
        attrs: control::EntryAttributes,
        body: impl Into<reqwest::Body>,
    ) -> Outcome<control::WriteReply> {
        self.put_with(volume, path, (attrs, &FurtherAttributes::default()), body).await
    }

    /// The same with all that a file system may know of a file.
    pub async fn put_with(
        &self,
        volume: &str,
        path: &[u8],
        (attrs, further): (control::EntryAttributes, &FurtherAttributes),
        body: impl Into<reqwest::Body>,
    ) -> Outcome<control::WriteReply> {
        let (mode, mtime_ns) = (format!("{:o}", attrs.mode), attrs.mtime_ns.to_string());
        let parameters = [("path", path), ("volume", volume.as_bytes()), ("mode", mode.as_bytes())];
        let work = self.work.iter().map(|work| ("work", work.as_bytes()));
        let further_parameters: Vec<_> = std::iter::once(("mtime_ns", mtime_ns.as_bytes())).chain(work).collect();
        let url = self.url(route::FILES, &[&parameters[..], &further_parameters].concat());
        let mut request = self.http.put(url);
        if !further.xattrs.is_empty() {
            request = request.header(header::XATTRS, control::xattrs_text(&further.xattrs));
        }
        request = further.hard_link.iter().fold(request, |request, id| request.header(header::HARD_LINK, id));
        request = further.holes_text().into_iter().fold(request, |request, holes| request.header(header::HOLES, holes));
        answer(self.send(request.body(body)).await?).await
    }

    /// Opens a file for reading.
    pub async fn download(
        &self,
        of: impl Into<VolumeName<'_>>,
        path: &[u8],
        range: &DownloadRange,
    ) -> Outcome<Download> {
        let of = of.into();
        let url = self.url(route::FILES, &[of.parameters(), vec![("path", path)]].concat());
        let (range, if_range) = range.headers();
        let mut request = self.http.get(url);
        request = range.into_iter().fold(request, |request, range| request.header("range", range));
        request = if_range.into_iter().fold(request, |request, tag| request.header("if-range", tag));
        let response = fine(self.send(request).await?).await?;
        Ok(Download {
            tag: parsed(&response, "etag", |text| Some(text.to_owned()))?,
            is_part: response.status() == StatusCode::PARTIAL_CONTENT,
            size: parsed(&response, header::SIZE, |text| text.parse().ok())?,
            mode: parsed(&response, header::MODE, |text| u32::from_str_radix(text, 8).ok())?,
            mtime_ns: parsed(&response, header::MTIME_NS, |text| text.parse().ok())?,
            xattrs: xattrs(&response),
            maybe_stale: response.headers().get(header::MAYBE_STALE).is_some(),
            maybe_incomplete: response.headers().get(header::MAYBE_INCOMPLETE).is_some(),
            response,
        })
    }

    /// Where a file has holes, from a place on.
    pub async fn holes(&self, of: impl Into<VolumeName<'_>>, path: &[u8], from: u64) -> Outcome<control::HoleListing> {
        let from = from.to_string();
        let of = of.into();
        let parameters = [of.parameters(), vec![("path", path), ("from", from.as_bytes())]].concat();
        self.get(route::HOLES, &parameters).await
    }

    /// One page of a folder.
    pub async fn list(
        &self,
        of: impl Into<VolumeName<'_>>,
        path: &[u8],
        after: Option<&[u8]>,
        max: usize,
    ) -> Outcome<control::ListingPage> {
        let max = max.to_string();
        let of = of.into();
        let mut parameters = [of.parameters(), vec![("path", path), ("max", max.as_bytes())]].concat();
        parameters.extend(after.map(|name| ("after", name)));
        self.get(route::ENTRIES, &parameters).await
    }

    /// One page of a folder, with the contents of files of at most `contents` bytes; it ends early when they are many.
    pub async fn list_with_contents(
        &self,
        of: impl Into<VolumeName<'_>>,
        path: &[u8],
        after: Option<&[u8]>,
        (max, contents): (usize, usize),
    ) -> Outcome<control::ListingPage> {
        let (max, contents) = (max.to_string(), contents.to_string());
        let of = of.into();
        let mut parameters = [of.parameters(), vec![("path", path), ("max", max.as_bytes())]].concat();
        parameters.push(("contents", contents.as_bytes()));
        parameters.extend(after.map(|name| ("after", name)));
        self.get(route::ENTRIES, &parameters).await
    }

    /// One entry; with `blocks` also where its blocks are.
    pub async fn stat(&self, of: impl Into<VolumeName<'_>>, path: &[u8], blocks: bool) -> Outcome<control::StatReply> {
        let blocks = blocks.to_string();
        let of = of.into();
        let parameters = [of.parameters(), vec![("path", path), ("blocks", blocks.as_bytes())]].concat();
        self.get(route::ENTRY, &parameters).await
    }

    /// Removes one entry.
    pub async fn remove(&self, volume: &str, path: &[u8], recursive: bool) -> Outcome<control::WriteReply> {
        let recursive = recursive.to_string();
        let parameters = [("path", path), ("volume", volume.as_bytes()), ("recursive", recursive.as_bytes())];
        answer(self.send(self.http.delete(self.url(route::ENTRIES, &parameters))).await?).await
    }

    /// Makes many small changes in one commit.
    pub async fn edit(&self, edits: &control::EditsRequest) -> Outcome<control::EditsReply> {
        let work = edits.work.clone().or_else(|| self.work.clone());
        self.post(route::EDITS, &control::EditsRequest { work, ..edits.clone() }).await
    }

    /// The earlier states of a volume; with a path also what each of them has there.
    pub async fn history(&self, volume: &str, path: Option<&[u8]>) -> Outcome<control::HistoryReply> {
        let path = path.map(|path| ("path", path));
        let parameters: Vec<_> = std::iter::once(("volume", volume.as_bytes())).chain(path).collect();
        self.get(route::HISTORY, &parameters).await
    }

    /// Changes which earlier states are kept, or lists some no more.
    pub async fn change_history(&self, change: &control::HistoryChange) -> Outcome<control::WriteReply> {
        self.post(route::HISTORY, change).await
    }

    /// Asks the daemon to leave its empty pool and to start again in the ticket's.
    pub async fn join(&self, ticket: &str) -> Outcome<control::JoinReply> {
        self.post(route::JOIN, &control::JoinRequest { ticket: ticket.to_owned() }).await
    }

    /// Asks the daemon to end.
    pub async fn shutdown(&self) -> Outcome<()> {
        let request = self.http.request(Method::POST, self.url(route::SHUTDOWN, &[]));
        fine(self.send(request).await?).await.map(drop)
    }

    async fn get<T: DeserializeOwned>(&self, route: &str, parameters: &[(&str, &[u8])]) -> Outcome<T> {
        answer(self.send(self.http.get(self.url(route, parameters))).await?).await
    }

    async fn post<T: DeserializeOwned>(&self, route: &str, body: &(impl Serialize + Sync)) -> Outcome<T> {
        answer(self.send(self.http.post(self.url(route, &[])).json(body)).await?).await
    }

    fn url(&self, route: &str, parameters: &[(&str, &[u8])]) -> String {
        let mark = if parameters.is_empty() { "" } else { "?" };
        // The host is never resolved: the socket's path stands for it.
        format!("http://localhost{route}{mark}{}", query(parameters.iter().copied()))
    }

    /// Nothing leaves this process before it is known who listens.
    async fn send(&self, request: RequestBuilder) -> Outcome<Response> {
        match self.pinned.check().await {
            Ok(()) => {}
            Err(NotServed::Unreachable) => return Err(ControlError::NotRunning { socket: self.socket.clone() }),
            Err(NotServed::By(user)) => return Err(ControlError::ForeignServer { socket: self.socket.clone(), user }),
        }
        request.send().await.map_err(|error| match error.is_connect() {
            true => ControlError::NotRunning { socket: self.socket.clone() },
            false => ControlError::Broken(error),
        })
    }
}

fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

async fn answer<T: DeserializeOwned>(response: Response) -> Outcome<T> {
    let body = fine(response).await?.bytes().await.map_err(ControlError::Broken)?;
    serde_json::from_slice(&body).map_err(|error| ControlError::BadAnswer(error.to_string()))
}

/// The response if it is a success, the daemon's reason otherwise.
async fn fine(response: Response) -> Outcome<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = response.bytes().await.map_err(ControlError::Broken)?;
    Err(match serde_json::from_slice(&body) {
        Ok(error) => ControlError::Refused(error),
        Err(_) => ControlError::BadAnswer(status.to_string()),
    })
}

fn xattrs(response: &Response) -> Vec<control::ExtendedAttribute> {
    let text = response.headers().get(header::XATTRS).and_then(|value| value.to_str().ok());
    let xattr = |(name, value)| control::ExtendedAttribute {
        name: control::EscapedText(name),
        value: control::EscapedText(value),
    };
    control::pairs(text.unwrap_or_default()).map(xattr).collect()
}

fn parsed<T>(response: &Response, name: &str, parse: impl Fn(&str) -> Option<T>) -> Outcome<T> {
    let text = response.headers().get(name).and_then(|value| value.to_str().ok());
    text.and_then(parse).ok_or_else(|| ControlError::BadAnswer(format!("header {name} is missing or wrong")))
}
