//! Connections to other nodes for one purpose: one to each, shared, dialled when it is needed and again when it was lost.

use super::close::{BUSY, DONE, NOT_ADMITTED};
use super::wire::{self, Answer};
use crate::limits::TUNNEL_ANSWER_TIMEOUT;
use crate::net::{MemberLine, Purpose};
use cluster::NodeId;
use iroh::endpoint::{Connection, ConnectionError, RecvStream, SendStream};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::timeout;

/// The connection to one node; held while it is dialled, so that it is dialled once.
type Slot = Arc<tokio::sync::Mutex<Option<Connection>>>;

/// Why there is no stream to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// The node was not reached: what was seen.
    NotReached(String),
    /// It says no.
    Refused(Answer),
}

/// All of them.
#[derive(Debug)]
pub struct Lines {
    line: MemberLine,
    purpose: Purpose,
    open: Mutex<BTreeMap<NodeId, Slot>>,
}

impl Lines {
    /// None is open yet.
    pub fn new(line: MemberLine, purpose: Purpose) -> Self {
        Self { line, purpose, open: Mutex::default() }
    }

    fn slot(&self, node: NodeId) -> Slot {
        Arc::clone(self.open.lock().unwrap_or_else(PoisonError::into_inner).entry(node).or_default())
    }

    /// Whether a node is a member now.
    pub fn admits(&self, node: &NodeId) -> bool {
        self.line.admits(node)
    }

    /// Returns when it is none any more.
    pub async fn until_out(&self, node: NodeId) {
        self.line.until_out(node).await;
    }

    /// A stream to a service of a node, which has said yes.
    ///
    /// # Errors
    /// See [`NotOpened`].
    pub async fn ask(&self, node: NodeId, key: &str) -> Result<(SendStream, RecvStream), NotOpened> {
        let asked = async {
            // One that was lost is noticed by whoever uses it next.
            let mut before = None;
            for last in [false, true] {
                let conn = self.connection(node, before.take()).await?;
                match ask_over(&conn, key).await {
                    Err(NotOpened::NotReached(_)) if !last && conn.close_reason().is_some() => before = Some(conn.stable_id()),
                    asked => return asked,
                }
            }
            Err(NotOpened::NotReached("the connection breaks off again and again".to_owned()))
        };
        let seen = || NotOpened::NotReached(format!("no answer within {} s", TUNNEL_ANSWER_TIMEOUT.as_secs()));
        timeout(TUNNEL_ANSWER_TIMEOUT, asked).await.unwrap_or_else(|_| Err(seen()))
    }

    /// The connection to a node: the one that is open, unless it is the one that was `lost`.
    ///
    /// # Errors
    /// See [`NotOpened`].
    pub async fn connection(&self, node: NodeId, lost: Option<usize>) -> Result<Connection, NotOpened> {
        let slot = self.slot(node);
        let mut slot = slot.lock().await;
        if !self.line.admits(&node) {
            return Err(NotOpened::NotReached("it is no member of the microcloud any more".to_owned()));
        }
        if let Some(conn) = slot.as_ref().filter(|conn| conn.close_reason().is_none() && Some(conn.stable_id()) != lost) {
            return Ok(conn.clone());
        }
        let conn = self.line.dial(&node, self.purpose).await.map_err(NotOpened::NotReached)?;
        let (line, watched) = (self.line.clone(), conn.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = watched.closed() => {}
                () = line.until_out(node) => watched.close(NOT_ADMITTED, b"not admitted"),
            }
        });
        *slot = Some(conn.clone());
        Ok(conn)
    }

    /// Closes the connection to a node to which no tunnel leads any more.
    pub fn close(&self, node: &NodeId) {
        let slot = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(node);
        // One that is being dialled closes when nobody asks for anything.
        if let Some(conn) = slot.and_then(|slot| slot.try_lock().ok()?.take()) {
            conn.close(DONE, b"done");
        }
    }
}

async fn ask_over(conn: &Connection, key: &str) -> Result<(SendStream, RecvStream), NotOpened> {
    // How the connection ended says more than how its stream did.
    let seen = |error: &dyn std::fmt::Display| match conn.close_reason() {
        Some(ConnectionError::ApplicationClosed(closed)) if closed.error_code == BUSY => NotOpened::Refused(Answer::Busy),
        Some(reason) => NotOpened::NotReached(reason.to_string()),
        None => NotOpened::NotReached(error.to_string()),
    };
    let (mut send, mut recv) = conn.open_bi().await.map_err(|error| seen(&error))?;
    send.write_all(&wire::head(key)).await.map_err(|error| seen(&error))?;
    let mut answer = [0];
    recv.read_exact(&mut answer).await.map_err(|error| seen(&error))?;
    match Answer::of(answer[0]) {
        Answer::Open => Ok((send, recv)),
        refused => Err(NotOpened::Refused(refused)),
    }
}
