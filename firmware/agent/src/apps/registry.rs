//! The registry on loopback: Docker of this node pulls an app's image from the catalog's blobs, by digest alone, read-only.
//! What is asked and answered is decided in `contract::oci`, as in the builder's lab.

use super::catalog::Catalog;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, Response, StatusCode, header};
use contract::oci::documents::{MAX_DOCUMENT_BYTES, media_type};
use contract::oci::{Ask, Digest, Found, headers};
use futures_util::stream;
use hyper::body::Bytes;
use std::sync::Arc;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

/// What is read and sent at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// Everything that is asked, by whoever reaches loopback.
pub fn router(catalog: Arc<Catalog>) -> Router {
    Router::new().fallback(answer).with_state(catalog)
}

async fn answer(State(catalog): State<Arc<Catalog>>, request: Request) -> Response<Body> {
    let ask = Ask::parse(request.method().as_str(), request.uri().path());
    let content = match &ask {
        Some(Ask::Blob { digest, .. }) => blob(&catalog, digest).await,
        Some(Ask::Manifest { digest, .. }) => manifest(&catalog, digest).await,
        Some(Ask::Version) | None => None,
    };
    let (found, bytes, body) = match (ask, content) {
        (Some(Ask::Version), _) => (Found::Version, None, Body::empty()),
        (_, Some(Content { found, bytes, body })) => (found, Some(bytes), body),
        (_, None) => (Found::Nothing, None, Body::empty()),
    };
    let status = if found == Found::Nothing { StatusCode::NOT_FOUND } else { StatusCode::OK };
    let mut response = Response::builder().status(status);
    for (name, value) in headers(&found) {
        response = response.header(name, value);
    }
    if let Some(bytes) = bytes {
        response = response.header(header::CONTENT_LENGTH, bytes);
    }
    let body = if request.method() == Method::HEAD { Body::empty() } else { body };
    response.body(body).unwrap_or_default()
}

/// What is served of a digest.
struct Content {
    found: Found,
    bytes: u64,
    body: Body,
}

/// Opened before it is answered: what is removed meanwhile is still sent whole.
async fn blob(catalog: &Catalog, digest: &Digest) -> Option<Content> {
    let file = File::open(catalog.blob(digest)).await.ok()?;
    let bytes = file.metadata().await.ok()?.len();
    Some(Content { found: Found::Blob(digest.clone()), bytes, body: stream_of(file) })
}

/// Only an index or a manifest is served as one.
async fn manifest(catalog: &Catalog, digest: &Digest) -> Option<Content> {
    let file = File::open(catalog.blob(digest)).await.ok()?;
    let mut document = Vec::new();
    file.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut document).await.ok()?;
    let bytes = u64::try_from(document.len()).ok().filter(|bytes| *bytes <= MAX_DOCUMENT_BYTES)?;
    let kind = media_type(&document).ok()?;
    Some(Content { found: Found::Manifest(digest.clone(), kind), bytes, body: document.into() })
}

fn stream_of(file: File) -> Body {
    Body::from_stream(stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let mut piece = vec![0; PIECE_BYTES];
        match file.read(&mut piece).await {
            Ok(0) => None,
            Ok(read) => {
                piece.truncate(read);
                Some((Ok(Bytes::from(piece)), Some(file)))
            }
            Err(error) => Some((Err(error), None)),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::super::catalog::tests::{FACTS_TEXT, Layout};
    use super::*;
    use crate::http::{Listener, serve};
    use contract::arch::Arch;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::watch;

    async fn ask(catalog: &Arc<Catalog>, line: &str) -> (u16, String, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stop, stopping) = watch::channel(false);
        let server = tokio::spawn(serve(Listener::Tcp(listener), router(Arc::clone(catalog)), stopping));
        stream.write_all(format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        stop.send(true).unwrap();
        server.await.unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head, bytes[end + 4..].to_vec())
    }

    #[tokio::test]
    async fn what_the_catalog_has_is_served_by_digest_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Arc::new(Catalog::open(folder.path(), Some(Arch::Amd64)));
        let layer = vec![7; 300_000];
        catalog.take(Layout::of("broker", FACTS_TEXT, &layer).tar().as_slice(), Vec::new).unwrap();
        let entry = catalog.get("broker").unwrap();
        let digest = Digest::of(&layer);
        let (status, head, body) = ask(&catalog, &format!("GET /v2/broker/blobs/{digest}")).await;
        assert!(status == 200 && body == layer && head.contains("content-length: 300000") && head.contains(&digest.to_string()), "{head}");
        let (status, head, body) = ask(&catalog, &format!("HEAD /v2/broker/manifests/{}", entry.index)).await;
        assert!(status == 200 && body.is_empty() && head.contains("content-type: application/vnd.oci.image.index.v1+json"), "{head}");
        assert_eq!(ask(&catalog, "GET /v2/").await.0, 200);
        // A layer is no manifest; there are no tags, no lists, no writing, no other folder.
        let none = Digest::of(b"none");
        for line in [
            format!("GET /v2/broker/manifests/{digest}"),
            format!("GET /v2/broker/blobs/{none}"),
            "GET /v2/broker/manifests/latest".to_owned(),
            "GET /v2/_catalog".to_owned(),
            format!("PUT /v2/broker/blobs/{digest}"),
            "GET /v2/broker/blobs/../../catalog.json".to_owned(),
            "GET /".to_owned(),
        ] {
            assert_eq!(ask(&catalog, &line).await.0, 404, "{line}");
        }
    }
}
