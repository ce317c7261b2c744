//! The API described by itself. The document is committed, so that a change of the API is seen in review.

use axum::response::IntoResponse;
use utoipa::OpenApi;

use super::{
    absence, admins, bandwidth, disks, drain, files, history, holes, meet, members, node, plan, root_key, safety, tree,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "fsdfs control API",
        description = "What programs of one user ask of their own node, over HTTP on a Unix socket. Paths are bytes: in \
                       query strings percent-encoded, in JSON as text with %XX for % itself, control characters and bytes \
                       that are not UTF-8. See spec 07-control."
    ),
    paths(
        node::status,
        node::df,
        plan::plan,
        plan::what_if,
        node::shutdown,
        node::join,
        meet::meet,
        members::members,
        members::revoke,
        members::revoke_with_root_key,
        members::remove,
        admins::admins,
        admins::change,
        root_key::root_key,
        root_key::replace,
        root_key::rules,
        root_key::change_rules,
        absence::absence,
        absence::change,
        disks::disks,
        disks::begin,
        disks::space,
        disks::drained,
        disks::drain,
        drain::drain,
        drain::change,
        bandwidth::bandwidth,
        bandwidth::change,
        members::vouch,
        members::invites,
        members::invite,
        members::revoke_invite,
        files::write,
        files::read,
        holes::list,
        tree::list,
        tree::remove,
        tree::stat,
        safety::safe,
        safety::prove,
        tree::edit,
        history::history,
        history::change,
    )
)]
struct ControlApi;

/// The OpenAPI document, as it is served and committed.
pub fn document() -> String {
    ControlApi::openapi().to_pretty_json().expect("a document of plain texts") + "\n"
}

pub(super) async fn serve() -> impl IntoResponse {
    ([("content-type", "application/json")], document())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_document_is_the_one_that_is_served() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
        let served = super::document();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, &served).expect("write openapi.json");
        }
        let committed = std::fs::read_to_string(&file).expect("node/openapi.json is committed");
        assert!(
            committed == served,
            "the API changed: run 'UPDATE=1 cargo test --workspace openapi' and look at the difference"
        );
    }
}
