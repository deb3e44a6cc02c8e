//! Docker's socket as the node in the lab gets it. Unlike other limits, which it lets go, Docker refuses one on processors that it can't
//! set: it is taken out of what containers are made of. Limits that are lost become labels, so that it is seen what was asked; all else is
//! passed on as it is.

use std::fs;
use std::io::{Read, Write, copy};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// dockerd's own.
const DOCKER: &str = "/var/run/docker.sock";
/// The limit that Docker refuses.
const PROCESSORS: &str = "NanoCpus";
/// Those that it can't keep: each becomes a label.
const LOST: [&str; 3] = [PROCESSORS, "Memory", "MemoryReservation"];
/// The longest head and body of a request that is read.
const MOST_BYTES: usize = 1024 * 1024;

/// Serves at this path until the process ends.
pub fn serve(at: &Path) -> Result<()> {
    let _ = fs::remove_file(at);
    let listener = UnixListener::bind(at).with_context(|| format!("failed to listen at `{}`", at.display()))?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                if let Err(error) = pass(stream) {
                    eprintln!("  Docker's socket: {error:#}");
                }
            });
        }
    });
    Ok(())
}

/// One request a connection: the next one comes over another.
fn pass(mut client: UnixStream) -> Result<()> {
    let Some((head, rest)) = read_head(&mut client)? else { return Ok(()) };
    let mut docker = UnixStream::connect(DOCKER).context("failed to reach dockerd")?;
    let (head, body) = if makes_a_container(&head) {
        let body = with_limits_as_labels(&read_body(&mut client, &head, rest)?)?;
        (with_length(&head, body.len()), body)
    } else {
        (head, rest)
    };
    docker.write_all(closing(&head).as_bytes())?;
    docker.write_all(&body)?;
    let (mut asking, mut asked) = (client.try_clone()?, docker.try_clone()?);
    std::thread::spawn(move || {
        let _ended = copy(&mut asking, &mut asked);
        let _gone = asked.shutdown(Shutdown::Write);
    });
    // Who has heard enough leaves.
    let _ended = copy(&mut docker, &mut client);
    let _gone = client.shutdown(Shutdown::Both);
    Ok(())
}

/// The lines up to the empty one, and what came with them; nothing where nothing is asked.
fn read_head(client: &mut UnixStream) -> Result<Option<(String, Vec<u8>)>> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = client.read(&mut piece)?;
        if read == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece[..read]);
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(at + 4);
            return Ok(Some((String::from_utf8(bytes).context("a head is no text")?, rest)));
        }
        ensure!(bytes.len() < MOST_BYTES, "a head does not end");
    }
}

fn read_body(client: &mut UnixStream, head: &str, mut body: Vec<u8>) -> Result<Vec<u8>> {
    let length: usize = field(head, "content-length").context("a container's body has no length")?.parse()?;
    ensure!(length < MOST_BYTES, "a container's body is too long");
    let missing = length.saturating_sub(body.len());
    let at = body.len();
    body.resize(at + missing, 0);
    client.read_exact(&mut body[at..])?;
    Ok(body)
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn makes_a_container(head: &str) -> bool {
    let mut words = head.split_whitespace();
    let path = |target: &str| target.split('?').next().is_some_and(|path| path.ends_with("/containers/create"));
    words.next() == Some("POST") && words.next().is_some_and(path)
}

fn with_limits_as_labels(body: &[u8]) -> Result<Vec<u8>> {
    let mut body: Value = serde_json::from_slice(body).context("a container's body is no JSON")?;
    let Some(host) = body.get_mut("HostConfig").and_then(Value::as_object_mut) else { return Ok(serde_json::to_vec(&body)?) };
    let asked: Vec<(&str, Value)> = LOST.iter().filter_map(|limit| Some((*limit, host.get(*limit)?.clone()))).collect();
    host.remove(PROCESSORS);
    for (limit, value) in asked {
        body["Labels"][format!("lab.{limit}")] = Value::String(value.to_string());
    }
    Ok(serde_json::to_vec(&body)?)
}

/// A head whose lines are kept but for those that `drop` names.
fn lines(head: &str, drop: &str) -> String {
    let kept = head.trim_end().lines().filter(|line| !line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(drop)));
    kept.fold(String::new(), |all, line| all + line + "\r\n")
}

fn with_length(head: &str, length: usize) -> String {
    format!("{}Content-Length: {length}\r\n\r\n", lines(head, "content-length"))
}

/// dockerd ends the connection after its answer, but for one that becomes a stream of its own.
fn closing(head: &str) -> String {
    if field(head, "upgrade").is_some() {
        return head.to_owned();
    }
    format!("{}Connection: close\r\n\r\n", lines(head, "connection"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn limits_on_processors_are_taken_out_and_nothing_else() {
        let head = "POST /v1.45/containers/create?name=x HTTP/1.1\r\nHost: docker\r\nContent-Length: 99\r\nConnection: keep-alive\r\n\r\n";
        assert!(makes_a_container(head) && !makes_a_container("GET /containers/create HTTP/1.1\r\n\r\n"));
        assert!(!makes_a_container("POST /v1.45/containers/create/start HTTP/1.1\r\n\r\n"));
        let body = with_limits_as_labels(br#"{"Image":"x","HostConfig":{"NanoCpus":5,"Memory":7}}"#).unwrap();
        let expected = json!({ "Image": "x", "HostConfig": { "Memory": 7 }, "Labels": { "lab.NanoCpus": "5", "lab.Memory": "7" } });
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
        for labels in ["null", "{}"] {
            let body = with_limits_as_labels(format!(r#"{{"Labels":{labels},"HostConfig":{{"NanoCpus":5}}}}"#).as_bytes()).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["Labels"], json!({ "lab.NanoCpus": "5" }));
        }
        let without = br#"{"Image":"x","HostConfig":{}}"#;
        assert_eq!(with_limits_as_labels(without).unwrap(), br#"{"HostConfig":{},"Image":"x"}"#);
        assert_eq!(
            closing(&with_length(head, 5)),
            "POST /v1.45/containers/create?name=x HTTP/1.1\r\nHost: docker\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
        );
        let stream = "POST /x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
        assert_eq!(closing(stream), stream);
    }
}
