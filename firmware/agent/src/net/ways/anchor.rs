//! Anchors: connections that both sides keep, so that there is a member through whom a node can be reached.
//!
//! In a large community connections come and go. A node that others may not reach directly asks a member or two to keep theirs: a stream
//! that stays open. It carries nothing, and costs nothing beside the connection.

use super::Refusal;
use crate::net::exchange;
use anyhow::{Context, Result, bail};
use iroh::endpoint::{Connection, RecvStream, SendStream};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long the answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the member to keep the connection, and holds it until one of both ends that.
///
/// # Errors
/// It keeps no more, or the connection broke.
pub async fn hold_anchor(conn: &Connection, _held: Arc<()>) -> Result<()> {
    let asking = async {
        let (mut send, mut recv) = conn.open_bi().await?;
        send.write_all(&[exchange::KIND_ANCHOR]).await?;
        let mut answer = [0];
        recv.read_exact(&mut answer).await?;
        anyhow::Ok((send, recv, answer[0]))
    };
    let (_send, mut recv, answer) = timeout(ANSWER_TIMEOUT, asking).await.context("took too long")??;
    if let Some(refusal) = Refusal::of(answer) {
        bail!("{refusal}");
    }
    // Nothing is ever said; it ends.
    let _ended = recv.read_to_end(0).await;
    Ok(())
}

/// Answers a member that asks; where there is room, holds on until it lets go.
///
/// # Errors
/// The connection broke.
pub async fn answer_anchor(mut send: SendStream, mut recv: RecvStream, held: Option<Arc<()>>) -> Result<()> {
    send.write_all(&[if held.is_some() { 0 } else { Refusal::Busy.byte() }]).await?;
    if held.is_some() {
        let _ended = recv.read_to_end(0).await;
    }
    send.finish()?;
    Ok(())
}
