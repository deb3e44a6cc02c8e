//! What members tell each other over streams: a byte that says what it is about, then frames of a 4-byte length and a
//! body. Rosters are compared in two rounds; of records and messages, one frame asks and one answers.
//!
//! Records and messages have no protocol (ALPN) of their own: that would be a second connection to each member, with its handshake
//! and keep-alives. The gate has admitted the member before any stream of the connection is served.

use super::{
    event::Event,
    registry::About,
    ways::{self, Refusal, Ways},
};
use anyhow::{Context, Result, bail};
use cluster::{
    NodeId,
    sync::{self, Answer, Give, Items, MAX_FRAME_BYTES, Open},
};
use iroh::endpoint::{Connection, RecvStream, SendStream};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// First byte of a stream: compare rosters. Further kinds follow with later versions.
const KIND_COMPARE: u8 = 1;
/// What one frame asks and one answers, each with the first byte of its streams.
const QUESTIONS: [(u8, Kind); 3] = [(2, Kind::Registry(About::Records)), (3, Kind::Registry(About::Messages)), (4, Kind::Leases)];

/// The member asks this node to carry what it says to another.
pub const KIND_CARRY: u8 = 5;
/// The member brings what another says to this node.
pub const KIND_BROUGHT: u8 = 6;
/// The member asks that the connection be kept.
pub const KIND_ANCHOR: u8 = 7;

/// Who answers a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The registry.
    Registry(About),
    /// Who lent an app: may it go on?
    Leases,
}

/// How long an exchange may take.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Compares rosters as the opener.
///
/// # Errors
/// The stream ends early, takes too long, or carries something else.
pub async fn compare(conn: &Connection, node: NodeId, open: Open, events: &mpsc::Sender<Event>) -> Result<()> {
    let exchange = async {
        let (mut send, mut recv) = conn.open_bi().await.context("failed to open a stream")?;
        send.write_all(&[KIND_COMPARE]).await?;
        write(&mut send, &sync::frame(&open)).await?;
        let Answer::Marks(marks) = sync::read(&read(&mut recv).await?)? else {
            return Ok(());
        };
        let (reply, give) = oneshot::channel();
        events.send(Event::Marks { marks, reply }).await?;
        write(&mut send, &sync::frame(&give.await?)).await?;
        send.finish()?;
        let items: Items = sync::read(&read(&mut recv).await?)?;
        events.send(Event::Items { node, items }).await?;
        Ok(())
    };
    timeout(EXCHANGE_TIMEOUT, exchange).await.context("took too long")?
}

/// Serves a stream that a member opened.
///
/// # Errors
/// The stream ends early, takes too long, or carries something else.
pub async fn serve(
    conn: &Connection,
    send: SendStream,
    mut recv: RecvStream,
    node: NodeId,
    events: &mpsc::Sender<Event>,
    ways: &Ways,
) -> Result<()> {
    let mut kind = [0];
    timeout(EXCHANGE_TIMEOUT, recv.read_exact(&mut kind)).await.context("took too long")??;
    match kind[0] {
        KIND_CARRY => {
            let mut to = [0; 32];
            timeout(EXCHANGE_TIMEOUT, recv.read_exact(&mut to)).await.context("took too long")??;
            let way_on = if ways::is_direct(conn) {
                let (reply, answer) = oneshot::channel();
                events.send(Event::Carry { from: node, to: cluster::keys::Key(to), reply }).await?;
                answer.await.unwrap_or(Err(Refusal::NotAdmitted))
            } else {
                Err(Refusal::NotLinked)
            };
            ways::carry(conn, send, recv, node, way_on).await
        }
        KIND_BROUGHT => {
            let _kept = kept(node, events).await;
            ways::take(conn, send, recv, node, ways).await
        }
        KIND_ANCHOR => {
            let held = if ways::is_direct(conn) { kept(node, events).await } else { None };
            ways::answer_anchor(send, recv, held).await
        }
        kind => answer(kind, send, recv, node, events).await,
    }
}

/// Has the connection to a member kept as long as what is given out is held; none where too many are kept.
pub async fn kept(node: NodeId, events: &mpsc::Sender<Event>) -> Option<Arc<()>> {
    let (reply, answer) = oneshot::channel();
    events.send(Event::Anchor { node, reply }).await.ok()?;
    answer.await.ok().flatten()
}

/// Answers a stream on which one asks and the other answers.
async fn answer(kind: u8, mut send: SendStream, mut recv: RecvStream, node: NodeId, events: &mpsc::Sender<Event>) -> Result<()> {
    let exchange = async {
        if let Some((_, about)) = QUESTIONS.into_iter().find(|(first, _)| *first == kind) {
            let (reply, answer) = oneshot::channel();
            events.send(Event::Question { node, about, frame: read(&mut recv).await?, reply }).await?;
            write(&mut send, &answer.await.context("nobody answers that here")?).await?;
            send.finish()?;
            return Ok(());
        }
        if kind != KIND_COMPARE {
            bail!("a stream of the unknown kind {kind}");
        }
        let open: Open = sync::read(&read(&mut recv).await?)?;
        let (reply, answer) = oneshot::channel();
        events.send(Event::Open { node, open, reply }).await?;
        let answer = answer.await?;
        write(&mut send, &sync::frame(&answer)).await?;
        if answer != Answer::Same {
            let give: Give = sync::read(&read(&mut recv).await?)?;
            let (reply, items) = oneshot::channel();
            events.send(Event::Give { node, give, reply }).await?;
            write(&mut send, &sync::frame(&items.await?)).await?;
        }
        send.finish()?;
        Ok(())
    };
    timeout(EXCHANGE_TIMEOUT, exchange).await.context("took too long")?
}

/// Asks a member about records or a lease, or hands it messages.
///
/// # Errors
/// The stream ends early, takes too long, or carries something else.
pub async fn ask(conn: &Connection, about: Kind, frame: &[u8]) -> Result<Vec<u8>> {
    let exchange = async {
        let (mut send, mut recv) = conn.open_bi().await.context("failed to open a stream")?;
        let kind = QUESTIONS.into_iter().find(|(_, of)| *of == about).map(|(first, _)| first).context("no stream is for that")?;
        send.write_all(&[kind]).await?;
        write(&mut send, frame).await?;
        send.finish()?;
        read(&mut recv).await
    };
    timeout(EXCHANGE_TIMEOUT, exchange).await.context("took too long")?
}

async fn write(send: &mut SendStream, body: &[u8]) -> Result<()> {
    let length = u32::try_from(body.len()).context("a frame is too long")?;
    send.write_all(&length.to_be_bytes()).await?;
    send.write_all(body).await?;
    Ok(())
}

async fn read(recv: &mut RecvStream) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    recv.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_be_bytes(length))?;
    if length > MAX_FRAME_BYTES {
        bail!("a frame of {length} bytes, where {MAX_FRAME_BYTES} are allowed");
    }
    let mut body = vec![0; length];
    recv.read_exact(&mut body).await?;
    Ok(body)
}
