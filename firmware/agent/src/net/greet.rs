//! Hello over iroh: asking a member to be let in, answering strangers, and finding out why nobody answers.

use super::{
    JoinFailure, JoinProblem,
    event::{Event, Target},
    gate::{CLOSE_BUSY, CLOSE_DONE, HELLO_ALPN},
    ids::endpoint_addr,
    links::ip,
    meant,
    ways::taken,
};
use cluster::{
    NodeId,
    hello::{self, MAX_REPLY_BYTES, MAX_REQUEST_BYTES, Reason, Reply, ReplyError, Request},
};
use iroh::{
    Endpoint,
    endpoint::{ConnectOptions, Connection, ConnectionError},
};
use std::{
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, oneshot},
    time::timeout,
};

/// How long dialling somebody may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a hello may take once connected.
const HELLO_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a port may take to say that nobody listens.
const REFUSED_PATIENCE: Duration = Duration::from_millis(700);

/// Serves one stranger's connection: one stream, one question, one answer.
pub async fn answer(conn: &Connection, from: NodeId, events: &mpsc::Sender<Event>) {
    let serve = async {
        let (mut send, mut recv) = conn.accept_bi().await.ok()?;
        let request = recv.read_to_end(MAX_REQUEST_BYTES).await.ok()?;
        let (reply, replied) = oneshot::channel();
        let at = taken(&conn.paths()).and_then(|path| ip(path.remote_addr())).map(|address| address.ip());
        events.send(Event::Hello { from, at, request, reply }).await.ok()?;
        send.write_all(&replied.await.ok()?).await.ok()?;
        send.finish().ok()?;
        // The asker closes once it has read the answer.
        Some(conn.closed().await)
    };
    if timeout(HELLO_TIMEOUT, serve).await.is_err() {
        conn.close(CLOSE_BUSY, b"too slow");
    } else {
        conn.close(CLOSE_DONE, b"");
    }
}

/// Asks a member.
///
/// # Errors
/// What failed, for the doctor.
pub async fn ask(endpoint: &Endpoint, target: &Target, request: &Request) -> Result<Reply, JoinFailure> {
    let bytes = ask_bytes(endpoint, target, &hello::request_bytes(request)).await?;
    match hello::read_reply(&bytes) {
        Ok(reply) => Ok(reply),
        Err(error @ ReplyError::Version { .. }) => {
            Err(failure(JoinProblem::ProtocolVersion, target, error.to_string(), "update the older of the two nodes"))
        }
        Err(error @ ReplyError::Wire(_)) => {
            Err(failure(JoinProblem::ProtocolVersion, target, error.to_string(), "update both nodes to the same version"))
        }
    }
}

/// Asks with a request that is bytes already.
///
/// # Errors
/// What failed, for the doctor.
pub async fn ask_bytes(endpoint: &Endpoint, target: &Target, request: &[u8]) -> Result<Vec<u8>, JoinFailure> {
    let Some(address) = endpoint_addr(&target.node, target.addresses.iter().copied()) else {
        return Err(failure(JoinProblem::NoAddress, target, "its node id is no key".to_owned(), "ask for a new token"));
    };
    let conn = match timeout(DIAL_TIMEOUT, meant::dial(endpoint, address, HELLO_ALPN, ConnectOptions::new())).await {
        Ok(Ok(conn)) => conn,
        Ok(Err(seen)) => return Err(diagnose(target, seen).await),
        Err(_) => {
            return Err(diagnose(target, format!("no answer within {} s", DIAL_TIMEOUT.as_secs())).await);
        }
    };
    let talk = async {
        let (mut send, mut recv) = conn.open_bi().await.map_err(|error| error.to_string())?;
        send.write_all(request).await.map_err(|error| error.to_string())?;
        send.finish().map_err(|error| error.to_string())?;
        recv.read_to_end(MAX_REPLY_BYTES).await.map_err(|error| error.to_string())
    };
    let talked = timeout(HELLO_TIMEOUT, talk).await;
    let closed = conn.close_reason();
    conn.close(CLOSE_DONE, b"");
    match (talked, closed) {
        (Ok(Ok(reply)), _) => Ok(reply),
        (_, Some(ConnectionError::ApplicationClosed(close))) if close.error_code == CLOSE_BUSY => {
            Err(failure(JoinProblem::Busy, target, "it has too much to do at the moment".to_owned(), "wait: it is tried again"))
        }
        (Ok(Err(seen)), _) => Err(failure(JoinProblem::Busy, target, seen, "wait: it is tried again")),
        (Err(_), _) => Err(failure(
            JoinProblem::Timeout,
            target,
            format!("connected, but no answer within {} s", HELLO_TIMEOUT.as_secs()),
            "wait: it is tried again",
        )),
    }
}

/// A refusal of a member as a failure for the doctor.
pub fn refused(target: &Target, reason: Reason, words: &str) -> JoinFailure {
    let (problem, mend) = match reason {
        Reason::EXPIRED => (JoinProblem::Expired, "ask an admin of the community for a new token"),
        Reason::USED => (JoinProblem::Used, "each token is good for so many nodes: ask an admin for a new one"),
        Reason::FOREIGN => (JoinProblem::Foreign, "the token is for another community: use one of this community"),
        Reason::REVOKED => (
            JoinProblem::Revoked,
            "if this node was removed, `cloudy leave` gives it a new identity; then ask an admin of the community for a new token",
        ),
        Reason::DOOR_CLOSED => (JoinProblem::DoorClosed, "ask an admin to open the door for some minutes, or for a token"),
        Reason::NO_COMMUNITY => (JoinProblem::Foreign, "that node belongs to no community itself: ask for a token that names another"),
        Reason::BUSY => (JoinProblem::Busy, "wait: it is tried again"),
        Reason::FULL => (JoinProblem::Revoked, "the community is full: talk to its admins"),
        _ => (JoinProblem::BadSignature, "copy the token again, whole; if that does not help, ask for a new one"),
    };
    failure(problem, target, format!("it answered: {words}"), mend)
}

/// A failure at a target.
pub fn failure(reason: JoinProblem, target: &Target, seen: String, mend: &str) -> JoinFailure {
    JoinFailure { reason, target: target.to_string(), seen, mend: mend.to_owned() }
}

/// Finds out why a dial failed: no address, no route, nobody listening, or silence.
async fn diagnose(target: &Target, seen: String) -> JoinFailure {
    if target.addresses.is_empty() {
        return failure(
            JoinProblem::NoAddress,
            target,
            format!("its address is not known and it was not found on the local network ({seen})"),
            "ask for a token that names an address, or connect both nodes to the same network",
        );
    }
    let mut routes = 0;
    for address in &target.addresses {
        match probe(*address).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                return failure(
                    JoinProblem::PortRefused,
                    target,
                    format!("{address} answers that nobody listens on this port"),
                    "is the other node's agent running, and is this still its address?",
                );
            }
            Err(_) => {}
            Ok(()) => routes += 1,
        }
    }
    if routes == 0 {
        return failure(
            JoinProblem::NoRoute,
            target,
            format!("this machine has no route to it ({seen})"),
            "check this node's network: cable or Wi-Fi, address, gateway",
        );
    }
    failure(
        JoinProblem::Timeout,
        target,
        seen,
        "is the other node switched on, and do the firewalls between the two let UDP through to this port? If it was made anew since, ask for a new token",
    )
}

/// Whether there is a route to an address, and nobody says that the port is closed.
async fn probe(address: SocketAddr) -> std::io::Result<()> {
    let any = if address.is_ipv4() { SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)) } else { SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)) };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    socket.send(&[0]).await?;
    let mut answer = [0; 1];
    match timeout(REFUSED_PATIENCE, socket.recv(&mut answer)).await {
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}
