//! Forms that carry a file: `multipart/form-data` (RFC 7578) as browsers send it, made into the form that all other pages send. The
//! crate that axum has for it brings tables of all character sets, half a megabyte; a page of ours is UTF-8.

use axum::http::HeaderValue;

/// Fields of a form at most.
const FIELDS: usize = 64;
/// Bytes of a boundary at most (RFC 2046, 5.1.1).
const BOUNDARY_BYTES: usize = 70;

/// What stands between the fields, if this is such a form.
pub fn boundary(kind: &HeaderValue) -> Option<&str> {
    let rest = kind.to_str().ok()?.strip_prefix("multipart/form-data")?;
    let boundary = rest.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?.trim_matches('"');
    (1..=BOUNDARY_BYTES).contains(&boundary.len()).then_some(boundary)
}

/// Its names and values, a file being a value like others. Nothing where it is cut, or no text.
pub fn fields(boundary: &str, body: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(body).ok()?;
    let (first, next) = (format!("--{boundary}"), format!("\r\n--{boundary}"));
    let mut rest = text.strip_prefix(&first)?;
    let mut fields = Vec::new();
    while let Some(part) = rest.strip_prefix("\r\n") {
        let (part, after) = part.split_once(&next)?;
        let (head, value) = part.split_once("\r\n\r\n")?;
        fields.push((name(head)?, value.to_owned()));
        if fields.len() > FIELDS {
            return None;
        }
        rest = after;
    }
    rest.starts_with("--").then_some(fields)
}

/// The field's name, as browsers write it: what would end it is written as `%22`.
fn name(head: &str) -> Option<String> {
    let disposition = |line: &str| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case("content-disposition").then(|| value.trim().to_owned())
    };
    let value = head.split("\r\n").find_map(disposition)?;
    let (_, rest) = value.strip_prefix("form-data")?.split_once(" name=\"")?;
    rest.split_once('"').map(|(name, _)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(fields: &[(&str, &str)]) -> String {
        let one = |(name, value): &(&str, &str)| {
            let file = if *name == "file" { "; filename=\"c.yaml\"\r\nContent-Type: application/octet-stream" } else { "" };
            format!("--xX\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n")
        };
        fields.iter().map(one).collect::<String>() + "--xX--\r\n"
    }

    #[test]
    fn what_browsers_send_is_read_and_what_is_cut_is_not() {
        let kind = |text: &'static str| HeaderValue::from_static(text);
        assert_eq!(boundary(&kind("multipart/form-data; boundary=\"xX\"")), Some("xX"));
        for none in ["multipart/form-data", "multipart/form-data; boundary=", "application/x-www-form-urlencoded", "text/plain; boundary=x"]
        {
            assert!(boundary(&kind(none)).is_none(), "{none}");
        }
        let sent = body(&[("csrf", "c"), ("file", "services:\r\n  a: \"--x\"\r\n"), ("empty", "")]);
        let read = fields("xX", sent.as_bytes()).unwrap();
        assert_eq!((read[0].1.as_str(), read[1].1.as_str(), read[2].1.as_str()), ("c", "services:\r\n  a: \"--x\"\r\n", ""));
        for end in 0..sent.len() - 4 {
            assert!(fields("xX", &sent.as_bytes()[..end]).is_none(), "{end}");
        }
        assert!(fields("xX", &[0xff]).is_none());
        assert!(fields("xX", body(&[("a", ""); 65]).as_bytes()).is_none());
    }

    proptest! {
        #[test]
        fn nothing_is_too_much(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "(--xX|\r\n|\"| name=|:|[a-z]){0,30}") {
            let _ = fields("xX", &bytes);
            let _ = fields("xX", text.as_bytes());
        }
    }
}
