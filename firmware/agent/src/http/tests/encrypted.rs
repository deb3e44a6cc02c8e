//! The page over TLS, through the real accept loop, with a client that trusts the node's root alone.

use super::*;
use crate::https::Https;
use crate::https::tests::client;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Serves an agent over TLS until the sender is dropped.
async fn served(app: &Arc<App>, data: &std::path::Path) -> (SocketAddr, watch::Sender<bool>) {
    let https = Arc::new(Https::open(data, "garden").unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    https.is_at(at.port());
    let acceptor = TlsAcceptor::from(https.config().unwrap());
    app.serves_https(https);
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(serve(Listener::Tls(listener, acceptor), network(Arc::clone(app)), stopping));
    (at, stop)
}

async fn over_tls(app: &Arc<App>, at: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let config = client(&app.https().unwrap().root_der());
    let stream = TcpStream::connect(at).await.unwrap();
    let name = ServerName::try_from("garden.local").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let answer = talk(stream, &request(method, path, headers, body)).await;
    openapi::check::answer(method, path, answer.status, answer.header("content-type").unwrap_or_default(), answer.body());
    answer
}

/// The status of an answer over plain HTTP, whatever it holds.
async fn status(app: &Arc<App>, text: &str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (_stop, stopping) = watch::channel(false);
    tokio::spawn(serve(Listener::Tcp(listener), network(Arc::clone(app)), stopping));
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_person_comes_by_https_and_closes_the_other_way() {
    let folder = tempfile::tempdir().unwrap();
    let (app, sessions) = peopled(folder.path()).await;
    let only = |only: bool| format!("{{\"only\":{only}}}");
    let (_, plain_cookie, plain_csrf) = &sessions[0];
    // Nothing is served over HTTPS yet.
    assert_eq!(far(&app, "GET", "/api/v1/https", "", "").await.status, 409);
    let (at, _stop) = served(&app, folder.path()).await;
    // Somebody who says nothing keeps nobody out.
    let _silent = TcpStream::connect(at).await.unwrap();
    let page = over_tls(&app, at, "GET", "/", "", "").await;
    assert!(page.status == 200 && page.body().contains("This page is encrypted."), "{}", page.text);
    assert!(far(&app, "GET", "/", "", "").await.body().contains("not encrypted"));
    // A session of plain HTTP is none here, and its owner can't close it from there.
    assert_eq!(over_tls(&app, at, "GET", "/api/v1/users", &format!("cookie: {plain_cookie}\r\n"), "").await.status, 401);
    let renamed = format!("cookie: __Host-{plain_cookie}\r\n");
    assert_eq!(
        over_tls(&app, at, "GET", "/api/v1/users", &renamed, "").await.status,
        401,
        "what is overheard is no use under another name"
    );
    let refused = far(&app, "PUT", "/api/v1/https", &ours(plain_cookie, plain_csrf), &only(true)).await;
    assert!(refused.status == 409 && refused.body().contains("by HTTPS first"), "{}", refused.text);
    let login = format!("{{\"name\":\"ana\",\"password\":\"{PASSWORD}\"}}");
    let opened = over_tls(&app, at, "POST", "/api/v1/session", "origin: https://garden\r\n", &login).await;
    let (cookie, csrf) = (opened.cookie(), opened.json()["csrf"].as_str().unwrap().to_owned());
    assert!(cookie.starts_with("__Host-") && opened.header("set-cookie").unwrap().contains("Secure"));
    let headers = format!("cookie: {cookie}\r\norigin: https://garden\r\nx-csrf-token: {csrf}\r\n");
    let mixed = headers.replace("https://", "http://");
    assert_eq!(over_tls(&app, at, "PUT", "/api/v1/https", &mixed, &only(true)).await.status, 403, "a page of plain HTTP is another site");
    assert_eq!(over_tls(&app, at, "PUT", "/api/v1/https", &headers, &only(true)).await.status, 200);
    // Plain HTTP leads there now, for pages and for programs; what a browser is to trust stays.
    let led = far(&app, "GET", "/apps?a=b", "", "").await;
    assert_eq!((led.status, led.header("location")), (307, Some(format!("https://garden.local:{}/apps?a=b", at.port()).as_str())));
    assert_eq!(status(&app, "GET /root.crt HTTP/1.1\r\nhost: garden\r\nconnection: close\r\n\r\n").await, 200);
    // Under a foreign name nobody is led anywhere.
    assert_eq!(status(&app, "GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n").await, 421);
    assert_eq!(over_tls(&app, at, "GET", "/", "", "").await.status, 200);
    assert_eq!(over_tls(&app, at, "PUT", "/api/v1/https", &headers, &only(false)).await.status, 200);
    assert_eq!(far(&app, "GET", "/", "", "").await.status, 200);
}
