//! The API of another node of this one's owner, asked through this one: `/api/v1/at/NODE/…` is there what `/api/v1/…` is. That node holds
//! the request to its own table, for whoever asks here.

use super::caller::Caller;
use super::problem::Refusal;
use crate::household::NotForwarded;
use crate::state::App;
use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use cluster::NodeId;
use std::sync::Arc;

/// Where all of it begins.
pub const PREFIX: &str = "/api/v1/at/";

/// What is asked of the other node; none where the path is not one of these.
fn beyond(path: &str) -> Option<String> {
    let (_, rest) = path.strip_prefix(PREFIX)?.split_once('/')?;
    Some(format!("/api/v1/{rest}"))
}

pub(super) async fn forward(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((node, _)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    let path = request.uri().path_and_query().and_then(|path| beyond(path.as_str()));
    let path = path.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "there is no such thing in this API"))?;
    ask(&app, &caller, &node, &path, request).await
}

/// Asks another node of this owner, for whoever asks here.
pub(super) async fn ask(app: &App, caller: &Caller, node: &str, path: &str, request: Request) -> Result<Response, Refusal> {
    let id = NodeId::of_hex(node).ok_or_else(|| {
        let why = format!("`{}` is no id of a node: it has 64 hexadecimal digits, as `cloudy nodes --json` shows", node.escape_debug());
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why)
    })?;
    let forward = app.forward().ok_or_else(|| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, super::changes::NO_NETWORK))?;
    forward.ask(id, &caller.acting(), path, request).await.map_err(|error| {
        let status = match error {
            NotForwarded::NotOurs => StatusCode::FORBIDDEN,
            NotForwarded::NotReached(_) => StatusCode::BAD_GATEWAY,
            NotForwarded::Silent => StatusCode::GATEWAY_TIMEOUT,
        };
        Refusal::new(status, error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_node_is_asked_for_the_same_below_its_own_api() {
        assert_eq!(beyond("/api/v1/at/aa/apps?after=x%2Fy").as_deref(), Some("/api/v1/apps?after=x%2Fy"));
        assert_eq!(beyond("/api/v1/at/aa/at/bb/apps").as_deref(), Some("/api/v1/at/bb/apps"), "which is not served there");
        assert_eq!(beyond("/api/v1/at/aa/../../..//etc").as_deref(), Some("/api/v1/../../..//etc"), "which is no route there");
        assert_eq!((beyond("/api/v1/at/aa"), beyond("/api/v1/apps")), (None, None));
    }
}
