//! Who may ask: Host and Origin are checked, so that a foreign page can't reach the node through a name that it bends
//! (DNS rebinding); and every answer carries headers that keep the page to itself.

use super::serve::Encrypted;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;

/// Endings that home routers and mDNS give to names on the local network.
pub const LOCAL_DOMAINS: [&str; 6] = ["local", "lan", "home", "home.arpa", "internal", "localdomain"];

/// What every answer carries.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
             base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // With `no-referrer` browsers would send `Origin: null` with our own forms (Fetch, "append a request `Origin` header").
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Refuses what comes under a foreign name or from a foreign page; adds the headers to what goes out.
pub async fn guard(State(name): State<Arc<str>>, request: Request, next: Next) -> Response {
    let encrypted = request.extensions().get::<Encrypted>().copied();
    let checked = check(request.method(), request.headers(), &name).and_then(|()| same_scheme(request.headers(), encrypted));
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    for (key, value) in HEADERS {
        headers.insert(key, value);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The status and sentence for a request that is refused.
type Refusal = (StatusCode, String);

fn check(method: &Method, headers: &HeaderMap, name: &str) -> Result<(), Refusal> {
    let text = |key| headers.get(key).and_then(|v: &HeaderValue| v.to_str().ok());
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next().and_then(|h| h.to_str().ok()), hosts.next()) {
        (Some(host), None) => host,
        _ => return Err((StatusCode::BAD_REQUEST, "One Host header is needed.\n".to_owned())),
    };
    if !host_is_ours(host, name) {
        let sentence = format!("This node is not called that. Use its address, or {name} or {name}.local.\n");
        return Err((StatusCode::MISDIRECTED_REQUEST, sentence));
    }
    let same = |origin: &str| origin.split_once("://").is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(host));
    if headers.contains_key(header::ORIGIN) && !text(header::ORIGIN).is_some_and(same) {
        return Err((StatusCode::FORBIDDEN, "A page of another site may not ask this node.\n".to_owned()));
    }
    let cross = text(HeaderName::from_static("sec-fetch-site")) == Some("cross-site");
    let navigating = method == Method::GET && text(HeaderName::from_static("sec-fetch-mode")) == Some("navigate");
    if cross && !navigating {
        return Err((StatusCode::FORBIDDEN, "A page of another site may not ask this node.\n".to_owned()));
    }
    Ok(())
}

/// A page of plain HTTP, which anybody on the way may have written, is another site than this one over HTTPS.
fn same_scheme(headers: &HeaderMap, encrypted: Option<Encrypted>) -> Result<(), Refusal> {
    let scheme = if encrypted == Some(Encrypted(true)) { "https://" } else { "http://" };
    match headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()) {
        Some(origin) if !origin.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) => {
            Err((StatusCode::FORBIDDEN, "A page of another site may not ask this node.\n".to_owned()))
        }
        _ => Ok(()),
    }
}

/// A host without its port.
pub fn bare(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((bare, port)) if !port.ends_with(']') => bare,
        _ => host,
    }
}

/// Whether a Host header names this node: an address, `localhost`, its name, or its name in a local domain.
fn host_is_ours(host: &str, name: &str) -> bool {
    let bare = match host.strip_prefix('[') {
        Some(rest) => return rest.split_once(']').is_some_and(|(ip, tail)| ip.parse::<IpAddr>().is_ok() && port_or_nothing(tail)),
        None => match host.split_once(':') {
            Some((bare, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => bare,
            Some(_) => return false,
            None => host,
        },
    };
    let bare = bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase();
    let name = name.to_ascii_lowercase();
    if bare.parse::<IpAddr>().is_ok() || bare == "localhost" || bare == name {
        return true;
    }
    let short = name.split('.').next().unwrap_or_default();
    bare.split_once('.').is_some_and(|(first, domain)| first == short && LOCAL_DOMAINS.contains(&domain))
        || (!short.is_empty() && bare == short)
}

fn port_or_nothing(tail: &str) -> bool {
    tail.is_empty() || tail.strip_prefix(':').is_some_and(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (key, value) in list {
            map.append(*key, HeaderValue::from_static(value));
        }
        map
    }

    fn verdict(list: &[(&'static str, &'static str)]) -> Option<StatusCode> {
        check(&Method::GET, &headers(list), "garden").err().map(|(status, _)| status)
    }

    #[test]
    fn the_node_is_reached_by_address_and_by_its_names() {
        for host in [
            "192.168.1.20",
            "192.168.1.20:8080",
            "[fd00::1]",
            "[fd00::1]:80",
            "localhost:8080",
            "garden",
            "GARDEN.local",
            "garden.lan:80",
            "garden.home.arpa",
        ] {
            assert_eq!(verdict(&[("host", host)]), None, "{host}");
        }
    }

    #[test]
    fn foreign_names_are_refused() {
        for host in
            ["evil.example", "garden.evil.example", "192.168.1.20.evil.example", "[fd00::1", "[x]", "garden:", "garden:80:80", "", "local"]
        {
            assert!(verdict(&[("host", host)]).is_some(), "{host}");
        }
        assert_eq!(verdict(&[]), Some(StatusCode::BAD_REQUEST));
        assert_eq!(verdict(&[("host", "garden"), ("host", "garden")]), Some(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn foreign_pages_are_refused() {
        assert_eq!(verdict(&[("host", "garden:80"), ("origin", "http://garden:80")]), None);
        assert_eq!(verdict(&[("host", "garden"), ("origin", "http://evil.example")]), Some(StatusCode::FORBIDDEN));
        assert_eq!(verdict(&[("host", "garden"), ("origin", "null")]), Some(StatusCode::FORBIDDEN));
        assert_eq!(verdict(&[("host", "garden"), ("sec-fetch-site", "cross-site")]), Some(StatusCode::FORBIDDEN));
        assert_eq!(verdict(&[("host", "garden"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]), None);
    }
}
