//! Serves the routes on the control socket, to those who may use it.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::serve::IncomingStream;
use fsdfs_proto::control::ErrorCode;
use tokio::net::UnixListener;

use super::Context;
use super::failure::Failure;
use crate::home::ControlSocket;

/// Answers requests until `stop` resolves and those under way are answered.
pub(crate) async fn serve(
    mut socket: ControlSocket,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketPeer>();
    axum::serve(socket.take_listener(), service).with_graceful_shutdown(stop).await
}

/// The process at the other end, as the kernel says; none if it cannot tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct SocketPeer {
    uid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for SocketPeer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { uid: stream.io().peer_cred().ok().map(|peer| peer.uid()) }
    }
}

/// File modes keep others away already; this holds when the folder's mode was changed by hand. With a group in the
/// configuration the modes alone decide, for a peer's credentials do not tell its further groups.
pub(super) async fn refuse_other_users(
    State(context): State<Arc<Context>>,
    ConnectInfo(peer): ConnectInfo<SocketPeer>,
    request: Request,
    next: Next,
) -> Response {
    let me = rustix::process::geteuid().as_raw();
    if context.config.control_group.is_some() || peer.uid.is_some_and(|uid| uid == me || uid == 0) {
        return next.run(request).await;
    }
    let hint = "run fsdfs as that user, or let the owner allow a group in config.toml (control_group)";
    Failure::new(ErrorCode::Forbidden, "this daemon belongs to another user", hint).into_response()
}
