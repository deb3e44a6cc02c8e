//! Forms about services of other nodes that are opened through this one.
//!
//! Another port is another origin, and `form-action 'self'` of our policy holds for where a form's answer leads too (Chromium looks at each
//! redirect). So the form is answered with 303 to a page of this node, which leads on: with a link, and by itself where a browser opens what
//! is spoken. The policy stays as narrow as it is.

use super::{Reader, home_search, to};
use crate::http::pages::tunnels as page;
use crate::http::problem::Refusal;
use crate::http::tunnels::{self, TunnelWish};
use axum::extract::{Form, Path};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use serde::Deserialize;

/// Leads a browser on (HTML, "shared declarative refresh steps").
const REFRESH: HeaderName = HeaderName::from_static("refresh");

/// `POST /tunnels`
#[derive(Deserialize)]
pub struct Wish {
    #[serde(default)]
    node: String,
    #[serde(default)]
    service: String,
}

async fn refused(reader: &Reader, headers: &HeaderMap, refusal: &Refusal) -> Response {
    let body = home_search(reader, headers, Some(&refusal.said(reader.lang))).await;
    reader.refused(refusal, "/search", &body)
}

/// `POST /tunnels`
pub async fn open(reader: Reader, headers: HeaderMap, Form(Wish { node, service }): Form<Wish>) -> Response {
    match tunnels::begin(&reader.app, &reader.caller, &headers, &TunnelWish { node, service }).await {
        Ok(opened) => to(&format!("/tunnels/{}", opened.view.port)),
        Err(refusal) => refused(&reader, &headers, &refusal).await,
    }
}

/// `GET /tunnels/PORT`: leads there.
pub async fn show(reader: Reader, headers: HeaderMap, Path(port): Path<u16>) -> Response {
    let Some(tunnel) = tunnels::all(&reader.app, &reader.caller, &headers).into_iter().find(|tunnel| tunnel.port == port) else {
        return reader.nothing();
    };
    let mut response = reader.page("/search", None, &page::one(&reader.view(), &tunnel));
    if page::is_for_browsers(&tunnel.scheme)
        && let Ok(leads) = HeaderValue::try_from(format!("0; url={}", ascii(&tunnel.address)))
    {
        response.headers_mut().insert(REFRESH, leads);
    }
    response
}

/// An address in ASCII: what others wrote of the path may have other letters.
fn ascii(address: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic();
    address.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// `POST /tunnels/PORT/close`
pub async fn close(reader: Reader, headers: HeaderMap, Path(port): Path<u16>) -> Response {
    match tunnels::end(&reader.app, port) {
        Ok(()) => to("/search"),
        Err(refusal) => refused(&reader, &headers, &refusal).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_of_a_path_stays_in_the_address() {
        assert_eq!(ascii("http://garden:32000/a?b=c&d"), "http://garden:32000/a?b=c&d");
        assert_eq!(ascii("http://garden:32000/Gràcia\r\nx: y"), "http://garden:32000/Gr%C3%A0cia%0D%0Ax:%20y");
    }
}
