//! The command line's side of the local socket: HTTP over a Unix socket.

use anyhow::{Context, Result, anyhow, bail};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

/// Speaks to one agent.
pub struct Client {
    socket: PathBuf,
    /// Another node of the same owner, which is asked through this one: its name, or its id or the beginning of that.
    on: Option<String>,
}

impl Client {
    /// A client of the agent that listens at `socket`.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), on: None }
    }

    /// The same, asking another node of the same owner through this one.
    #[must_use]
    pub fn on(self, node: Option<String>) -> Self {
        Self { on: node, ..self }
    }

    /// Where a path lies that is meant on the node that is asked.
    async fn place(&self, path: &str) -> Result<String> {
        let Some(node) = &self.on else { return Ok(path.to_owned()) };
        let rest = path.strip_prefix("/api/v1/").with_context(|| format!("`{path}` is not asked of another node"))?;
        let here = Self::new(&self.socket);
        let members = Box::pin(here.nodes()).await?;
        Ok(format!("/api/v1/at/{}/{rest}", member(&members, node)?))
    }

    /// `GET path`; the answer's JSON.
    ///
    /// # Errors
    /// When no agent answers, or it refuses.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.ask(Method::GET, path, None).await
    }

    /// `GET path`, page by page: all entries of `field`, in one answer as of a page. What else stands on pages is as the last one says it.
    ///
    /// # Errors
    /// When no agent answers, or it refuses.
    pub async fn list(&self, path: &str, field: &str) -> Result<Value> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let query = serde_urlencoded::to_string([("after", &after)])?;
            let joint = if path.contains('?') { '&' } else { '?' };
            let mut page = self.get(&if after.is_empty() { path.to_owned() } else { format!("{path}{joint}{query}") }).await?;
            let entries = page.get_mut(field).and_then(Value::as_array_mut).map(std::mem::take);
            all.append(&mut entries.with_context(|| format!("the answer has no `{field}`: the agent is of another version; restart it"))?);
            match page.get("next").and_then(Value::as_str) {
                Some(next) if next != after => next.clone_into(&mut after),
                _ => {
                    page[field] = all.into();
                    page["next"] = Value::Null;
                    return Ok(page);
                }
            }
        }
    }

    /// The microcloud as the agent sees it, with all its members: by name, then id, as on a page.
    ///
    /// # Errors
    /// When no agent answers, or it refuses.
    pub async fn nodes(&self) -> Result<Value> {
        let mut view = self.list("/api/v1/nodes", "members").await?;
        if let Some(members) = view.get_mut("members").and_then(Value::as_array_mut) {
            let text = |member: &Value, key: &str| member.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            members.sort_by_cached_key(|member| (text(member, "name"), text(member, "id")));
        }
        Ok(view)
    }

    /// `POST path` with a JSON body; the answer's JSON.
    ///
    /// # Errors
    /// When no agent answers, or it refuses.
    pub async fn post(&self, path: &str, body: &impl serde::Serialize) -> Result<Value> {
        self.ask(Method::POST, path, Some(serde_json::to_vec(body)?)).await
    }

    /// `PUT path` with a JSON body; the answer's JSON.
    ///
    /// # Errors
    /// When no agent answers, or it refuses.
    pub async fn put(&self, path: &str, body: &impl serde::Serialize) -> Result<Value> {
        self.ask(Method::PUT, path, Some(serde_json::to_vec(body)?)).await
    }

    /// `DELETE path`; the answer's JSON.
    ///
    /// # Errors
    /// When no agent answers, or it refuses.
    pub async fn delete(&self, path: &str) -> Result<Value> {
        self.ask(Method::DELETE, path, None).await
    }

    /// `POST path` with what comes piece by piece; the answer's JSON.
    ///
    /// # Errors
    /// When no agent answers, or it refuses.
    pub async fn upload(&self, path: &str, kind: &str, pieces: tokio::sync::mpsc::Receiver<std::io::Result<Bytes>>) -> Result<Value> {
        let next = |mut pieces: tokio::sync::mpsc::Receiver<std::io::Result<Bytes>>| async {
            Some((pieces.recv().await?.map(Frame::data), pieces))
        };
        let body = StreamBody::new(Box::pin(futures_util::stream::unfold(pieces, next)));
        self.send(Method::POST, path, kind, body).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Value> {
        self.send(method, path, "application/json", Full::new(Bytes::from(body.unwrap_or_default()))).await
    }

    /// `GET path`, written as it comes.
    ///
    /// # Errors
    /// When no agent answers, it refuses or breaks off, or nothing can be written.
    pub async fn download(&self, path: &str, into: &mut (impl std::io::Write + Send)) -> Result<()> {
        let (answer, driver) = self.begin(Method::GET, path, "application/json", Full::new(Bytes::new())).await?;
        let (status, mut body) = (answer.status(), answer.into_body());
        if !status.is_success() {
            let bytes = body.collect().await.context("reading the agent's answer")?.to_bytes();
            return Err(refusal(status, &bytes));
        }
        while let Some(frame) = body.frame().await {
            if let Ok(bytes) = frame.context("reading what the agent sends")?.into_data() {
                into.write_all(&bytes).context("writing what the agent sends")?;
            }
        }
        driver.abort();
        Ok(())
    }

    async fn send<B>(&self, method: Method, path: &str, kind: &str, body: B) -> Result<Value>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (answer, driver) = self.begin(method, path, kind, body).await?;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.context("reading the agent's answer")?.to_bytes();
        let _ = driver.await;
        if !status.is_success() {
            return Err(refusal(status, &bytes));
        }
        serde_json::from_slice(&bytes).context("the agent's answer is no JSON")
    }

    /// Sends a request; the answer's head, and the task that its body needs.
    async fn begin<B>(&self, method: Method, path: &str, kind: &str, body: B) -> Result<(Response<Incoming>, JoinHandle<hyper::Result<()>>)>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = self.place(path).await?;
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| {
            let mend = match error.kind() {
                std::io::ErrorKind::PermissionDenied => "only root and members of the group `cloudy` may use it: try `sudo`",
                _ => "is the agent running? `systemctl status cloudy`, or name its socket with --socket PATH",
            };
            anyhow!("asking the agent at `{}`: {error}; {mend}", self.socket.display())
        })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let request =
            Request::builder().method(method).uri(path).header(header::HOST, "localhost").header(header::CONTENT_TYPE, kind).body(body)?;
        let answer = sender.send_request(request).await.context("asking the agent")?;
        Ok((answer, driver))
    }
}

/// The id of the one member that is called so, or whose id begins so.
///
/// # Errors
/// There is none, or there are several.
pub fn member(answer: &Value, node: &str) -> Result<String> {
    let text = |member: &Value, key: &str| member.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let members = answer.get("members").and_then(Value::as_array).cloned().unwrap_or_default();
    let named: Vec<String> = members.iter().filter(|member| text(member, "name") == node).map(|member| text(member, "id")).collect();
    let begin = members.iter().map(|member| text(member, "id")).filter(|id| node.len() >= 4 && id.starts_with(node));
    // A name that looks like the beginning of another's id is no way to be taken for it.
    let found: std::collections::BTreeSet<String> = named.into_iter().chain(begin).collect();
    let found: Vec<String> = found.into_iter().collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => bail!("no member is called `{node}`, nor begins an id so: `cloudy nodes` lists them"),
        _ => bail!("several members are called `{node}`: name one by its id (`cloudy nodes --json`)"),
    }
}

/// Why the agent refuses, in its own words.
fn refusal(status: StatusCode, bytes: &[u8]) -> anyhow::Error {
    let said = serde_json::from_slice(bytes).ok().and_then(|v: Value| v.get("detail").and_then(Value::as_str).map(str::to_owned));
    anyhow!("{}", said.unwrap_or_else(|| format!("the agent answered {status}: {}", String::from_utf8_lossy(bytes).trim())))
}

/// Whether a page answers at a TCP address.
///
/// # Errors
/// When it does not, with what came instead.
pub async fn page_answers(address: &str) -> Result<()> {
    let doing = || format!("asking the page at {address}");
    let stream = tokio::net::TcpStream::connect(address).await.with_context(doing)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.with_context(doing)?;
    let driver = tokio::spawn(connection);
    let request = Request::get("/").header(header::HOST, address).body(Full::new(Bytes::new()))?;
    let status = sender.send_request(request).await.with_context(doing)?.status();
    driver.abort();
    if status.is_success() { Ok(()) } else { bail!("the page at {address} answered {status}") }
}
