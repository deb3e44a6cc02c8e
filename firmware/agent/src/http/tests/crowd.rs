//! Many connections at once, through the real accept loop.

use super::*;
use crate::limits::{HTTP_CONNECTIONS, HTTP_CONNECTIONS_RESERVED};
use std::net::SocketAddr;
use tokio::net::TcpSocket;

async fn from(own: [u8; 4], at: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((own, 0).into()).unwrap();
    socket.connect(at).await.unwrap()
}

#[tokio::test]
async fn somebody_who_holds_many_connections_keeps_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let (app, _) = peopled(folder.path()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (_stop, stopping) = watch::channel(false);
    tokio::spawn(serve(Listener::Tcp(listener), network(Arc::clone(&app)), stopping));
    let mut held = Vec::new();
    for _ in 0..HTTP_CONNECTIONS - HTTP_CONNECTIONS_RESERVED {
        held.push(from([127, 0, 0, 2], at).await);
    }
    // They come in turn: this one is let go unserved, the next, of somebody else, is answered.
    assert!(!is_served(from([127, 0, 0, 2], at).await).await);
    let answer = talk(from([127, 0, 0, 3], at).await, &request("GET", "/", "", "")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    // Whoever lets one go may come again.
    drop(held.pop());
    let again = async { while !is_served(from([127, 0, 0, 2], at).await).await {} };
    tokio::time::timeout(std::time::Duration::from_secs(60), again).await.expect("it is served again");
}

async fn is_served(mut stream: TcpStream) -> bool {
    let mut head = [0; 12];
    let asked = stream.write_all(request("GET", "/", "", "").as_bytes()).await;
    asked.is_ok() && stream.read_exact(&mut head).await.is_ok() && &head == b"HTTP/1.1 200"
}
