//! Requests that are for another node of this one's owner.

use super::head::Acting;
use super::is_ours;
use crate::limits::{HOUSEHOLD_ANSWER_TIMEOUT, HOUSEHOLD_STREAMS_OF_A_PERSON, HOUSEHOLD_UPLOAD_TIMEOUT, TUNNEL_ANSWER_TIMEOUT};
use crate::net::{NetHandle, Places, Purpose};
use crate::tunnels::{Lines, NotOpened};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use cluster::NodeId;
use futures_util::StreamExt;
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::TokioIo;
use iroh::endpoint::{RecvStream, SendStream};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::join;
use tokio::time::timeout;

/// What of a request goes along: what it wants, never how it came or who may.
const ASKED: [HeaderName; 6] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    HeaderName::from_static("idempotency-key"),
];
/// What of an answer does not: it is of the connection between the two nodes.
const OF_THE_WAY: [HeaderName; 4] = [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, HeaderName::from_static("keep-alive")];

/// Longest body for which an answer is waited as for any request; more is taken as it comes.
const SHORT_BYTES: u64 = 1 << 20;

/// Why a request did not get there.
#[derive(Debug, thiserror::Error)]
pub enum NotForwarded {
    /// That node is another owner's.
    #[error(
        "that node is not of this node's owner: `cloudy household` lists those that are; nodes of others run what their owners agree to (`cloudy lease offer`)"
    )]
    NotOurs,
    /// Whoever asks has asked it too much at once.
    #[error(
        "{HOUSEHOLD_STREAMS_OF_A_PERSON} requests of yours are open at that node, which is all that one person may have: wait until one is done, or end what you follow there"
    )]
    TooMany,
    /// It was not reached.
    #[error("that node was not reached: {0}; it may be off, or away from this network")]
    NotReached(String),
    /// Nothing came in time, and nobody knows whether it was done.
    #[error("that node did not answer within {} s: look there whether it was done", .0.as_secs())]
    Silent(Duration),
    /// It began, and nobody knows whether it was done.
    #[error("the connection to that node broke off ({0}): look there whether it was done")]
    BrokenOff(String),
}

/// The connections to the owner's other nodes.
pub struct Forward {
    net: NetHandle,
    lines: Lines,
    /// Of each node for each person.
    places: Arc<Places<(NodeId, String)>>,
}

/// A body that goes on for as long as the place of its request is held.
fn held<T: Send + 'static>(place: T, body: Incoming) -> Body {
    let pieces = Body::new(body).into_data_stream();
    Body::from_stream(pieces.inspect(move |_| {
        let _held = &place;
    }))
}

fn some_of(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let named = headers.iter().filter(|(name, _)| names.contains(name));
    named.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn seen(error: &dyn std::fmt::Display) -> NotForwarded {
    NotForwarded::NotReached(error.to_string())
}

impl Forward {
    /// None is open yet.
    pub fn new(net: NetHandle) -> Self {
        let places = Places::new(usize::MAX, HOUSEHOLD_STREAMS_OF_A_PERSON);
        Self { lines: Lines::new(net.line.clone(), Purpose::Household), net, places }
    }

    /// A stream for one request, with its head sent. A connection that was lost is noticed here, and dialled anew once.
    async fn stream(&self, node: NodeId, acting: &Acting) -> Result<(SendStream, RecvStream), NotForwarded> {
        let mut lost = None;
        loop {
            let conn = self.lines.connection(node, lost).await.map_err(|error| match error {
                NotOpened::NotReached(seen) => NotForwarded::NotReached(seen),
                NotOpened::Refused(answer) => NotForwarded::NotReached(format!("{answer:?}")),
            })?;
            match conn.open_bi().await {
                Ok((mut send, recv)) => {
                    send.write_all(&acting.head()).await.map_err(|error| seen(&error))?;
                    return Ok((send, recv));
                }
                Err(_) if lost.is_none() => lost = Some(conn.stable_id()),
                Err(error) => return Err(seen(&error)),
            }
        }
    }

    /// Asks another node of this one's owner for `path`, with the query; its answer as it comes.
    ///
    /// # Errors
    /// See [`NotForwarded`].
    pub async fn ask(&self, node: NodeId, acting: &Acting, path: &str, request: Request<Body>) -> Result<Response<Body>, NotForwarded> {
        if !is_ours(&self.net, &node) {
            return Err(NotForwarded::NotOurs);
        }
        let place = self.places.take((node, acting.user.clone())).ok_or(NotForwarded::TooMany)?;
        let busy =
            || NotForwarded::NotReached(format!("no stream within {} s: it may have too many open", TUNNEL_ANSWER_TIMEOUT.as_secs()));
        let (send, recv) = timeout(TUNNEL_ANSWER_TIMEOUT, self.stream(node, acting)).await.map_err(|_| busy())??;
        let io = TokioIo::new(join(recv, send));
        let (mut sender, driver) = hyper::client::conn::http1::handshake(io).await.map_err(|error| seen(&error))?;
        tokio::spawn(driver);
        let (parts, body) = request.into_parts();
        let patience = if body.size_hint().upper().is_some_and(|bytes| bytes <= SHORT_BYTES) {
            HOUSEHOLD_ANSWER_TIMEOUT
        } else {
            HOUSEHOLD_UPLOAD_TIMEOUT
        };
        let mut asked = Request::new(body);
        *asked.method_mut() = parts.method;
        *asked.uri_mut() = path.parse().map_err(|error| seen(&error))?;
        *asked.headers_mut() = some_of(&parts.headers, &ASKED);
        asked.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
        let answer = timeout(patience, sender.send_request(asked)).await.map_err(|_| NotForwarded::Silent(patience))?;
        let answer = answer.map_err(|error| NotForwarded::BrokenOff(error.to_string()))?;
        let (mut parts, body) = answer.into_parts();
        for name in OF_THE_WAY {
            parts.headers.remove(name);
        }
        Ok(Response::from_parts(parts, held(place, body)))
    }
}
