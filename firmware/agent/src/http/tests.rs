//! Who may do what, through the real accept loop: each route of the table with each kind of caller.

mod api;
mod audit;
mod containers;
mod crowd;
mod docker;
mod encrypted;
mod follow;
mod forms;
mod jobs;
mod muted;
mod nodes;
mod published;
mod refreshed;
mod refusals;

use super::*;
use crate::users::{Operation, Role, Scope, Users, may};
use axum::Router;
use axum::routing::get;
use routes::Route;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;

const PASSWORD: &str = "correct horse";

/// An agent alone, with nobody to ask.
fn agent(data: &std::path::Path) -> Arc<App> {
    let (data, broker, registry) = (data.to_owned(), data.join("none.sock"), ([127, 0, 0, 1], 4748).into());
    Arc::new(App::new(data, broker, "garden".to_owned(), Vec::new(), None, None, registry))
}

/// What is sent, and what comes back.
struct Answer {
    status: u16,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next()?;
        head.lines().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
    }

    fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    fn json(&self) -> Value {
        serde_json::from_str(self.body()).unwrap()
    }

    fn cookie(&self) -> String {
        self.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    }
}

fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let kind = if headers.to_ascii_lowercase().contains("content-type") { "" } else { "content-type: application/json\r\n" };
    let head = format!("{method} {path} HTTP/1.1\r\nhost: garden\r\nconnection: close\r\n{kind}{headers}");
    format!("{head}content-length: {}\r\n\r\n{body}", body.len())
}

async fn talk(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, text: &str) -> Answer {
    stream.write_all(text.as_bytes()).await.unwrap();
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    let read = async {
        loop {
            let n = stream.read(&mut piece).await.unwrap();
            bytes.extend_from_slice(&piece[..n]);
            // What is watched has no end; its head is enough.
            if n == 0 || (bytes.ends_with(b"\r\n\r\n") && bytes.windows(17).any(|seen| seen == b"text/event-stream")) {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), read).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    Answer { status: text.split(' ').nth(1).unwrap().parse().unwrap(), text }
}

/// Over the network, from loopback.
async fn far(app: &Arc<App>, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stop, stopping) = watch::channel(false);
    let server = tokio::spawn(serve(Listener::Tcp(listener), network(Arc::clone(app)), stopping));
    let answer = talk(stream, &request(method, path, headers, body)).await;
    stop.send(true).unwrap();
    server.await.unwrap();
    openapi::check::answer(method, path, answer.status, answer.header("content-type").unwrap_or_default(), answer.body());
    answer
}

/// Over the local socket.
async fn near(app: &Arc<App>, method: &str, path: &str, body: &str) -> Answer {
    near_with(app, method, path, "", body).await
}

async fn near_with(app: &Arc<App>, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    near_by(local(Arc::clone(app)), method, path, headers, body).await
}

async fn near_by(router: Router, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("s");
    let listener = UnixListener::bind(&at).unwrap();
    let stream = UnixStream::connect(&at).await.unwrap();
    let (stop, stopping) = watch::channel(false);
    let server = tokio::spawn(serve(Listener::Unix(listener, |_| true), router, stopping));
    let answer = talk(stream, &request(method, path, headers, body)).await;
    stop.send(true).unwrap();
    server.await.unwrap();
    openapi::check::answer(method, path, answer.status, answer.header("content-type").unwrap_or_default(), answer.body());
    answer
}

/// A route with something in place of what it captures.
fn filled(path: &str) -> String {
    let fill: [(&str, &str); 9] = [
        ("{step}", "name"),
        ("{name}/{action}", "x/start"),
        ("{*key}", "a/b"),
        ("{app}", "notes"),
        ("{action}", "x"),
        ("{id}", "1"),
        ("{key}", "x"),
        ("{node}", "x"),
        ("{port}", "32000"),
    ];
    fill.iter().fold(path.to_owned(), |path, (what, with)| path.replace(what, with)).replace("{name}", "x").replace("{label}", "notes")
}

/// An agent with an owner, an operator, a guest, and a session of each.
async fn peopled(data: &std::path::Path) -> (Arc<App>, Vec<(Role, String, String)>) {
    let app = agent(data);
    let sessions = people(&app).await;
    (app, sessions)
}

/// An owner, an operator, a guest, and a session of each.
async fn people(app: &Arc<App>) -> Vec<(Role, String, String)> {
    let users: &Arc<Users> = app.users();
    let mut sessions = Vec::new();
    for (name, role) in [("ana", Role::Owner), ("ben", Role::Operator), ("eva", Role::Guest)] {
        users.add(name.to_owned(), role, PASSWORD.to_owned()).await.unwrap();
        let id = users.login(std::net::IpAddr::from([127, 0, 0, 1]), name, PASSWORD.to_owned(), None).await.unwrap();
        let cookie = crate::users::cookie(&id, false).split(';').next().unwrap().to_owned();
        sessions.push((role, cookie, id.csrf()));
    }
    sessions
}

/// The headers of a page of ours.
fn ours(cookie: &str, csrf: &str) -> String {
    format!("cookie: {cookie}\r\norigin: http://garden\r\nx-csrf-token: {csrf}\r\n")
}

/// Whether a request got past the table: what then answers may refuse it for another reason. A person's browser is sent to log in.
fn passed(answer: &Answer) -> bool {
    let sent_away = answer.status == 303 && answer.header("location") == Some("/login");
    !sent_away
        && !(matches!(answer.status, 401 | 403)
            && (answer.body().contains("only an o") || answer.body().contains("only who is") || answer.body().contains("done on the node")))
}

#[tokio::test]
async fn each_role_passes_each_route_as_the_table_says() {
    let data = tempfile::tempdir().unwrap();
    let (app, sessions) = peopled(data.path()).await;
    for Route { method, path, operation, .. } in routes::TABLE {
        // What ends the session that is used next is tried elsewhere.
        if matches!(operation, Operation::Store | Operation::Leave) || *path == "/account/{action}" || path.contains("account/sessions") {
            continue;
        }
        let at = filled(path);
        let nobody = far(&app, method, &at, "", "{}").await;
        let local = *operation == Operation::Local;
        let nobodys = matches!(operation, Operation::Look | Operation::Enter);
        assert_eq!(passed(&nobody) && !local, nobodys, "nobody {method} {at}: {}", nobody.text);
        for (role, cookie, csrf) in &sessions {
            let answer = far(&app, method, &at, &ours(cookie, csrf), "{}").await;
            assert_eq!(
                passed(&answer) && !local,
                may(crate::users::Rights::Session(*role), *operation),
                "{role:?} {method} {at}: {}",
                answer.text
            );
            assert!(!local || matches!(answer.status, 404 | 405), "{method} {at} is there on the network");
        }
    }
}

#[tokio::test]
async fn what_stands_in_the_table_is_served_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let app = agent(data.path());
    for Route { method, path, operation, .. } in routes::TABLE {
        let at = filled(path);
        let api = at.starts_with("/api/") || at == "/metrics";
        let answer = if api { near(&app, method, &at, "{}").await } else { far(&app, method, &at, "", "{}").await };
        assert!(answer.status != 405 && !answer.body().contains("no such thing in this API"), "{method} {at}: {}", answer.text);
        assert!(!answer.body().contains("There is nothing here"), "{method} {at}");
        let page = !api && *operation != Operation::Look;
        assert!(!page || answer.status != 404, "{method} {at}");
    }
    for (method, path) in [("PATCH", "/api/v1/apps/x"), ("DELETE", "/api/v1/status"), ("POST", "/"), ("PUT", "/users")] {
        assert_eq!(far(&app, method, path, "", "{}").await.status, 405, "{method} {path}");
    }
    // A route that somebody forgets to put into the table is for nobody.
    let forgotten = Router::new()
        .route("/api/v1/forgotten", get(|| async { "done" }))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&app), allow::allow))
        .with_state(Arc::clone(&app));
    assert_eq!(near_by(forgotten, "GET", "/api/v1/forgotten", "", "").await.status, 405);
}

#[tokio::test]
async fn a_session_changes_nothing_without_a_page_of_ours() {
    let data = tempfile::tempdir().unwrap();
    let (app, sessions) = peopled(data.path()).await;
    let (_, cookie, csrf) = &sessions[0];
    let (_, _, others) = &sessions[1];
    let (new, form) =
        (json!({ "name": "new", "role": "guest", "password": PASSWORD }).to_string(), "name=new&role=guest&password=correct+horse");
    let origin = "origin: http://garden\r\n";
    let kind = "content-type: application/x-www-form-urlencoded\r\n";
    let refused = [
        ("/api/v1/users", format!("cookie: {cookie}\r\n{origin}"), new.clone()),
        ("/api/v1/users", format!("cookie: {cookie}\r\n{origin}x-csrf-token: {others}\r\n"), new.clone()),
        ("/api/v1/users", format!("cookie: {cookie}\r\n{origin}x-csrf-token: \r\n"), new.clone()),
        ("/api/v1/users", format!("cookie: {cookie}\r\nx-csrf-token: {csrf}\r\n"), new.clone()),
        ("/api/v1/users", format!("cookie: {cookie}\r\norigin: http://garden:8080\r\nx-csrf-token: {csrf}\r\n"), new.clone()),
        ("/api/v1/users", format!("cookie: {cookie}\r\norigin: null\r\nx-csrf-token: {csrf}\r\n"), new.clone()),
        ("/users", format!("cookie: {cookie}\r\n{origin}{kind}"), form.to_owned()),
        ("/users", format!("cookie: {cookie}\r\n{origin}{kind}"), format!("{form}&csrf={others}")),
        ("/users", format!("cookie: {cookie}\r\n{origin}{kind}"), format!("csrf={csrf}&{form}&csrf={others}")),
        ("/users", format!("cookie: {cookie}\r\n{kind}"), format!("{form}&csrf={csrf}")),
    ];
    for (path, headers, body) in refused {
        let answer = far(&app, "POST", path, &headers, &body).await;
        assert_eq!(answer.status, 403, "{headers} {body}: {}", answer.text);
        assert_eq!(app.users().list().len(), 3, "refused before it has an effect");
    }
    let done = far(&app, "POST", "/users", &format!("cookie: {cookie}\r\n{origin}{kind}"), &format!("{form}&csrf={csrf}")).await;
    assert_eq!((done.status, done.header("location")), (303, Some("/users")), "{}", done.text);
    assert_eq!(app.users().list().len(), 4);
    let done = far(&app, "DELETE", "/api/v1/users/new", &ours(cookie, csrf), "").await;
    assert_eq!((done.status, app.users().list().len()), (200, 3));
}

#[tokio::test]
async fn a_login_gives_a_new_cookie_and_a_logout_ends_it() {
    let data = tempfile::tempdir().unwrap();
    let (app, sessions) = peopled(data.path()).await;
    let (_, old, csrf) = &sessions[0];
    let login = json!({ "name": "ana", "password": PASSWORD }).to_string();
    let answer = far(&app, "POST", "/api/v1/session", &ours(old, csrf), &login).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let set = answer.header("set-cookie").unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && !set.contains("Secure"), "{set}");
    let new = answer.cookie();
    assert_ne!(&new, old);
    let who = async |cookie: &str| far(&app, "GET", "/api/v1/session", &format!("cookie: {cookie}\r\n"), "").await.json();
    assert_eq!((who(old).await["user"].clone(), who(&new).await["user"].clone()), (Value::Null, json!("ana")));
    let csrf = who(&new).await["csrf"].as_str().unwrap().to_owned();
    let out = far(&app, "DELETE", "/api/v1/session", &ours(&new, &csrf), "").await;
    assert!(out.status == 200 && out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(who(&new).await["user"], Value::Null);
    // The page's own form, and a page that is sent to log in.
    let kind = "content-type: application/x-www-form-urlencoded\r\n";
    let form = far(&app, "POST", "/login", kind, "name=ana&password=correct+horse").await;
    assert_eq!((form.status, form.header("location")), (303, Some("/apps")));
    let users = far(&app, "GET", "/users", &format!("cookie: {}\r\n", form.cookie()), "").await;
    assert!(users.status == 200 && users.body().contains("ben"));
    let away = far(&app, "GET", "/users", "", "").await;
    assert_eq!((away.status, away.header("location")), (303, Some("/login")));
}

#[tokio::test]
async fn wrong_logins_are_answered_alike_and_end_in_429() {
    let data = tempfile::tempdir().unwrap();
    let (app, _) = peopled(data.path()).await;
    let login = async |name: &str| far(&app, "POST", "/api/v1/session", "", &json!({ "name": name, "password": "x" }).to_string()).await;
    let (known, unknown) = (login("ana").await, login("nobody").await);
    assert_eq!((known.status, known.body()), (401, unknown.body()));
    assert_eq!(known.header("content-type"), Some("application/problem+json"));
    // The wait doubles, so a slow machine comes there too.
    let mut answers = Vec::new();
    for n in 0..30 {
        answers.push(login(&format!("nobody{n}")).await);
        if answers.last().is_some_and(|answer| answer.status == 429) {
            break;
        }
    }
    let waits = answers.pop().unwrap();
    assert!(answers.len() >= 3 && answers.iter().all(|answer| answer.status == 401));
    assert_eq!(waits.status, 429, "{}", waits.text);
    assert!(waits.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn tokens_open_what_their_scope_says_and_app_tokens_nothing_of_it() {
    let data = tempfile::tempdir().unwrap();
    let (app, _) = peopled(data.path()).await;
    let mut tokens = Vec::new();
    for scope in [Scope::Read, Scope::Apps, Scope::Admin] {
        for (user, role) in [("ana", Role::Owner), ("ben", Role::Operator)] {
            tokens.push((scope, role, app.users().make_token(user, scope, String::new()).await.unwrap()));
        }
    }
    for Route { method, path, operation, .. } in routes::TABLE {
        if matches!(operation, Operation::Store | Operation::Local) {
            continue;
        }
        for (scope, role, (_, token)) in &tokens {
            let answer = far(&app, method, &filled(path), &format!("authorization: Bearer {token}\r\n"), "{}").await;
            let may = may(crate::users::Rights::Token(*role, *scope), *operation);
            let refused = ["only an o", "only who is", "nobody is logged in"].iter().any(|why| answer.body().contains(why));
            assert_eq!(!refused, may, "{scope:?} of {role:?}: {method} {path}: {}", answer.text);
        }
    }
    let list = async |token: &str| far(&app, "GET", "/api/v1/jobs", &format!("authorization: Bearer {token}\r\n"), "").await.status;
    let (id, token) = tokens[0].2.clone();
    assert_eq!(list(&token).await, 200);
    app.users().revoke_token("ana", id).await.unwrap();
    assert_eq!(list(&token).await, 401);
    assert_eq!(list(&app.app_tokens().make("notes").unwrap()).await, 401);
}

/// The store for apps: over the network for those who show a token.
const STORE: [(&str, &str); 6] = [
    ("GET", "/api/v1/store/notes"),
    ("POST", "/api/v1/store/notes"),
    ("GET", "/api/v1/store/notes/a/b"),
    ("PUT", "/api/v1/store/notes/a/b"),
    ("POST", "/api/v1/store/notes/a/b"),
    ("DELETE", "/api/v1/store/notes/a/b"),
];

#[tokio::test]
async fn a_store_opens_to_its_own_token_and_a_token_opens_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let app = agent(data.path());
    let tokens = ["notes", "other"].map(|of| app.app_tokens().make(of).unwrap());
    let [own, other] = tokens.map(|token| format!("authorization: Bearer {token}\r\n"));
    let twice = format!("{other}{own}");
    for (method, path) in STORE {
        for headers in ["", "authorization: Bearer\r\n", "authorization: Bearer cloudy-app-\r\n", &other, &twice, &other.to_lowercase()] {
            assert_eq!(far(&app, method, path, headers, "{}").await.status, 401, "{method} {path} {headers}");
        }
        // This node belongs to no microcloud, which is asked after who may ask and what; `{}` is no value of a key.
        for headers in [&own, &own.replace("Bearer", "bearer")] {
            let opened = far(&app, method, path, headers, "{}").await.status;
            assert!(matches!(opened, 409 | 422), "{method} {path}: {opened}");
        }
        let near = near(&app, method, path, "{}").await.status;
        assert!(matches!(near, 409 | 422), "{method} {path}: {near}");
    }
    for Route { method, path, operation, .. } in routes::TABLE {
        if !matches!(operation, Operation::Look | Operation::Enter | Operation::Store) {
            let far = far(&app, method, &filled(path), &own, "{}").await;
            assert!(matches!(far.status, 303 | 401 | 403 | 404 | 405), "{method} {path}: {}", far.text);
        }
    }
}

#[tokio::test]
async fn what_is_no_question_is_refused_on_the_page_as_in_the_api() {
    let data = tempfile::tempdir().unwrap();
    let app = agent(data.path());
    let page = far(&app, "GET", "/search?limit=many", "", "").await;
    assert!(page.status == 400 && page.body().contains("limit") && page.body().contains("role=\"search\""), "{}", page.text);
    assert_eq!(far(&app, "GET", "/api/v1/services?limit=many", "", "").await.status, 400);
}

#[path = "by_hand_tests.rs"]
mod by_hand;
#[path = "own_tests.rs"]
mod own;
