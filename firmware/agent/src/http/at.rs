//! The API of another node of this one's owner, asked through this one: `/api/v1/at/NODE/…` is there what `/api/v1/…` is. That node holds
//! the request to its own table, for whoever asks here.

use super::caller::Caller;
use super::problem::Refusal;
use crate::household::NotForwarded;
use crate::state::App;
use crate::users::Operation;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use cluster::NodeId;
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether whoever follows something may do so still.
const LOOK_EVERY: Duration = Duration::from_secs(5);

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
pub(super) async fn ask(app: &Arc<App>, caller: &Caller, node: &str, path: &str, request: Request) -> Result<Response, Refusal> {
    let id = NodeId::of_hex(node).ok_or_else(|| {
        let why = format!("`{}` is no id of a node: it has 64 hexadecimal digits, as `cloudy nodes --json` shows", node.escape_debug());
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why)
    })?;
    let forward = app.forward().ok_or_else(|| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, super::changes::NO_NETWORK))?;
    let answer = forward.ask(id, &caller.acting(), path, request).await.map_err(|error| {
        let status = match error {
            NotForwarded::NotOurs => StatusCode::FORBIDDEN,
            NotForwarded::TooMany => StatusCode::TOO_MANY_REQUESTS,
            NotForwarded::NotReached(_) | NotForwarded::BrokenOff(_) => StatusCode::BAD_GATEWAY,
            NotForwarded::Silent(_) => StatusCode::GATEWAY_TIMEOUT,
        };
        Refusal { again: (status == StatusCode::TOO_MANY_REQUESTS).then_some(1), ..Refusal::new(status, error.to_string()) }
    })?;
    let (parts, body) = answer.into_parts();
    Ok(Response::from_parts(parts, while_allowed(Arc::clone(app), caller.clone(), body)))
}

/// An answer's body, for as long as whoever asked may ask: of what is followed there is no other end.
fn while_allowed(app: Arc<App>, caller: Caller, body: Body) -> Body {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let next = |(app, caller, mut body, mut look): (Arc<App>, Caller, axum::body::BodyDataStream, tokio::time::Interval)| async move {
        loop {
            tokio::select! {
                piece = body.next() => return piece.map(|piece| (piece, (app, caller, body, look))),
                _ = look.tick() => if !caller.still_may(app.users(), Operation::Inspect) { return None },
            }
        }
    };
    Body::from_stream(futures_util::stream::unfold((app, caller, body.into_data_stream(), look), next))
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
