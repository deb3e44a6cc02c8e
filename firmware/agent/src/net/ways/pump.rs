//! Packets in a stream: each end of a way.
//!
//! On the wire, after the byte that says what a stream is about: who begins sends the 32 bytes of the id that it wants to reach, the member
//! between sends the other the 32 bytes of the id that wants it; both are answered by one byte, 0 for yes. Then each packet
//! as 2 bytes of length, big-endian, and as many bytes.

use super::{Arrived, Packets, Way, Ways, carry::Refusal, is_direct, until_indirect};
use crate::net::exchange;
use anyhow::{Context, Result, bail, ensure};
use cluster::NodeId;
use iroh::endpoint::{Connection, RecvStream, SendStream};
use std::time::Duration;
use tokio::time::timeout;

/// Longest packet: what fits an Ethernet frame, which is as much as iroh tries.
const MAX_PACKET_BYTES: usize = 1500;
/// How long it may take until a way is open.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a packet may wait for the stream. A way that is so slow is none, and what waited is lost, as on any path that is full.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3);
/// A way over which nothing goes, or comes, for so long is closed. A connection over it says something every 5 s.
const IDLE: Duration = Duration::from_secs(30);

/// Opens a way over the connection to the member between, and moves packets until it ends.
///
/// # Errors
/// Why it did not open, or ended.
pub async fn begin(conn: &Connection, way: Way, packets: Packets, ways: &Ways) -> Result<()> {
    ensure!(is_direct(conn), "the member between is itself reached by a way");
    let opening = async {
        let (mut send, mut recv) = conn.open_bi().await?;
        send.write_all(&[exchange::KIND_CARRY]).await?;
        send.write_all(&way.to.0).await?;
        let mut answer = [0];
        recv.read_exact(&mut answer).await?;
        anyhow::Ok((send, recv, answer[0]))
    };
    let opened = timeout(OPEN_TIMEOUT, opening).await.context("took too long").flatten();
    let (send, recv, answer) = opened.inspect_err(|_| ways.refused(way))?;
    if let Some(refusal) = Refusal::of(answer) {
        ways.refused(way);
        bail!("{refusal}");
    }
    pump(conn, send, recv, way, packets, ways).await
}

/// Takes a way that a member brings to this node, and moves packets until it ends.
///
/// # Errors
/// Why it was not taken, or ended.
pub async fn take(conn: &Connection, mut send: SendStream, mut recv: RecvStream, through: NodeId, ways: &Ways) -> Result<()> {
    let mut from = [0; 32];
    timeout(OPEN_TIMEOUT, recv.read_exact(&mut from)).await.context("took too long")??;
    let way = Way { through, to: cluster::keys::Key(from) };
    let opened = if ways.0.gate.admits(&way.to) { ways.opened(way).ok_or(Refusal::Busy) } else { Err(Refusal::NotAdmitted) };
    let answer = opened.as_ref().err().map_or(0, Refusal::byte);
    send.write_all(&[answer]).await?;
    match opened {
        Ok(packets) => pump(conn, send, recv, way, packets, ways).await,
        Err(refusal) => bail!("{refusal}"),
    }
}

async fn pump(conn: &Connection, mut send: SendStream, mut recv: RecvStream, way: Way, mut packets: Packets, ways: &Ways) -> Result<()> {
    let out = async {
        loop {
            // Where the other end opened this way too, its stream has taken over what goes; what comes on this one still does.
            let Some(packet) = timeout(IDLE, packets.recv()).await.context("nothing goes over it any more")? else {
                return std::future::pending().await;
            };
            let length = u16::try_from(packet.len()).ok().filter(|_| packet.len() <= MAX_PACKET_BYTES);
            let Some(length) = length else { continue };
            let framed = [&length.to_be_bytes()[..], &packet].concat();
            timeout(WRITE_TIMEOUT, send.write_all(&framed)).await.context("it is too slow")??;
        }
    };
    let into = async {
        while let Some(packet) = timeout(IDLE, read(&mut recv)).await.context("nothing comes over it any more")?? {
            if ways.0.arrived.send(Arrived { way, packet }).await.is_err() {
                break;
            }
        }
        anyhow::Ok(())
    };
    tokio::select! {
        ended = out => ended,
        ended = into => ended,
        () = until_indirect([conn]) => bail!("the member between is not reached directly any more"),
    }
}

/// Reads a packet; none at the end.
async fn read(recv: &mut (impl tokio::io::AsyncRead + Unpin)) -> Result<Option<Vec<u8>>> {
    use tokio::io::AsyncReadExt;
    let mut length = [0; 2];
    if let Err(end) = recv.read_exact(&mut length).await {
        return if end.kind() == std::io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(end.into()) };
    }
    let length = usize::from(u16::from_be_bytes(length));
    ensure!((1..=MAX_PACKET_BYTES).contains(&length), "a packet of {length} bytes, where 1 to {MAX_PACKET_BYTES} are allowed");
    let mut packet = vec![0; length];
    recv.read_exact(&mut packet).await.context("it ended in a packet")?;
    Ok(Some(packet))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(mut bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut packets = Vec::new();
            while let Some(packet) = read(&mut bytes).await? {
                packets.push(packet);
            }
            Ok(packets)
        })
    }

    proptest! {
        #[test]
        fn packets_are_read_back(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..=MAX_PACKET_BYTES), 0..8)) {
            let framed = |packet: &Vec<u8>| [&u16::try_from(packet.len()).unwrap().to_be_bytes()[..], packet].concat();
            let bytes: Vec<u8> = packets.iter().flat_map(framed).collect();
            prop_assert_eq!(all(&bytes).unwrap(), packets);
        }

        #[test]
        fn hostile_bytes_are_packets_within_the_limit_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..6000)) {
            for packet in all(&bytes).unwrap_or_default() {
                prop_assert!((1..=MAX_PACKET_BYTES).contains(&packet.len()));
            }
        }
    }

    #[test]
    fn what_is_too_long_or_empty_or_cut_off_is_an_error() {
        let longest = u16::try_from(MAX_PACKET_BYTES).unwrap();
        let of = |length: u16| [&length.to_be_bytes()[..], &[7].repeat(usize::from(length))].concat();
        assert_eq!(all(&of(longest)).unwrap().len(), 1);
        for bytes in [vec![0, 0], vec![0, 2, 7], vec![0xff, 0xff, 1], of(longest + 1), of(u16::MAX)] {
            assert!(all(&bytes).is_err(), "{} bytes", bytes.len());
        }
        assert!(all(&[]).unwrap().is_empty() && all(&[0, 1, 7]).unwrap() == [[7]]);
    }
}
