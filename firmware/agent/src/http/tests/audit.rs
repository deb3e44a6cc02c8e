//! What stands in the journal of changes and logins, as the logger is given it.

use super::*;
use log::kv::{Key, Value as Said, VisitSource};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Once;

/// The fields of a record, and its text as `message`.
type Line = BTreeMap<String, String>;

thread_local! {
    /// A test's runtime has one thread, and so what the agent writes meanwhile is this test's alone.
    static WRITTEN: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

struct Listener;

struct Fields(Line);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Said<'kvs>) -> Result<(), log::kv::Error> {
        self.0.insert(key.to_string(), value.to_string());
        Ok(())
    }
}

impl log::Log for Listener {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut fields = Fields(BTreeMap::from([("message".to_owned(), record.args().to_string())]));
        record.key_values().visit(&mut fields).unwrap();
        WRITTEN.with_borrow_mut(|written| written.push(fields.0));
    }

    fn flush(&self) {}
}

/// What was written since the last look: records of changes, and all else.
fn written() -> (Vec<Line>, Vec<Line>) {
    WRITTEN.with_borrow_mut(std::mem::take).into_iter().partition(|line| line.contains_key("audit"))
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_boxed_logger(Box::new(Listener)).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
    written();
}

/// The one record that was written, and that no secret stands in it nor beside it.
fn one(secrets: &[&str]) -> [String; 5] {
    let (records, beside) = written();
    for line in records.iter().chain(&beside) {
        let all = format!("{line:?}");
        assert!(secrets.iter().all(|secret| !all.contains(secret)), "{all}");
    }
    let [line] = records.as_slice() else { panic!("one record: {records:?}") };
    let fields: Vec<&str> = line.keys().map(String::as_str).collect();
    assert_eq!(fields, ["audit", "from", "message", "status", "what", "who"]);
    assert_eq!(line["message"], format!("{} ({}): {}: {}", line["who"], line["from"], line["what"], line["audit"]));
    ["audit", "who", "from", "what", "status"].map(|field| line[field].clone())
}

const FAR: &str = "127.0.0.1";
const WRONG: &str = "wrong-horse-7";
const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

#[tokio::test]
async fn each_change_and_login_is_a_record_in_the_journal_and_no_secret_is_in_it() {
    let data = tempfile::tempdir().unwrap();
    let (app, sessions) = peopled(data.path()).await;
    let (_, token) = app.users().make_token("ana", Scope::Admin, String::new()).await.unwrap();
    let ([(_, ana, csrf), (_, ben, bens), _], new) = (&sessions[..], "new-secret-9") else { panic!("three people") };
    let secrets =
        [PASSWORD, "correct+horse", WRONG, new, &token, csrf, bens, ana.split_once('=').unwrap().1, ben.split_once('=').unwrap().1];
    let body = |name: &str| json!({ "name": name, "role": "guest", "password": new }).to_string();
    let login = |name: &str, password: &str| json!({ "name": name, "password": password }).to_string();
    listen();

    // A change: by a session, by a token, over the socket; what the question says is no part of it.
    assert_eq!(far(&app, "POST", "/api/v1/users", &ours(ana, csrf), &body("one")).await.status, 200);
    assert_eq!(one(&secrets), ["done", "ana", FAR, "POST /api/v1/users", "200"]);
    let by_token = format!("authorization: Bearer {token}\r\n");
    assert_eq!(far(&app, "DELETE", &format!("/api/v1/users/one?password={WRONG}"), &by_token, "").await.status, 200);
    assert_eq!(one(&secrets), ["done", "token 1 of ana", FAR, "DELETE /api/v1/users/one", "200"]);
    assert_eq!(near(&app, "POST", "/api/v1/users", &body("two")).await.status, 200);
    let me = format!("user id {} of this machine", nix::unistd::getuid());
    assert_eq!(one(&secrets), ["done", "the local socket", &me, "POST /api/v1/users", "200"]);

    // A login, and those that are refused: a name that nobody has may be a password in the wrong field.
    assert_eq!(far(&app, "POST", "/api/v1/session", "", &login("ana", PASSWORD)).await.status, 200);
    assert_eq!(one(&secrets), ["done", "ana", FAR, "POST /api/v1/session", "200"]);
    assert_eq!(far(&app, "POST", "/api/v1/session", "", &login("ana", WRONG)).await.status, 401);
    assert_eq!(one(&secrets), ["refused", "somebody as ana", FAR, "POST /api/v1/session", "401"]);
    assert_eq!(far(&app, "POST", "/api/v1/session", "", &login(WRONG, "x")).await.status, 401);
    assert_eq!(one(&secrets), ["refused", "somebody under an unknown name", FAR, "POST /api/v1/session", "401"]);
    assert_eq!(far(&app, "POST", "/login", FORM, &format!("name=ben&password={WRONG}")).await.status, 401);
    assert_eq!(one(&secrets), ["refused", "somebody as ben", FAR, "POST /login", "401"]);

    // Refused changes: of one who may not, of nobody, by a page that is not ours, by no token, and where what is asked can't be.
    assert_eq!(far(&app, "POST", "/api/v1/users", &ours(ben, bens), &body("three")).await.status, 403);
    assert_eq!(one(&secrets), ["refused", "ben", FAR, "POST /api/v1/users", "403"]);
    assert_eq!(far(&app, "POST", "/api/v1/users", "", &body("three")).await.status, 401);
    assert_eq!(one(&secrets), ["refused", "nobody known", FAR, "POST /api/v1/users", "401"]);
    assert_eq!(far(&app, "POST", "/api/v1/users", &format!("authorization: Bearer {token}x\r\n"), &body("three")).await.status, 401);
    assert_eq!(one(&secrets), ["refused", "nobody known", FAR, "POST /api/v1/users", "401"]);
    assert_eq!(far(&app, "POST", "/api/v1/users", &ours(ana, bens), &body("three")).await.status, 403);
    assert_eq!(one(&secrets), ["refused", "ana", FAR, "POST /api/v1/users", "403"]);
    assert_eq!(near(&app, "POST", "/api/v1/users", &body("ana")).await.status, 409);
    assert_eq!(one(&secrets), ["refused", "the local socket", &me, "POST /api/v1/users", "409"]);
    // A browser of nobody's is led to the login, and nothing is done.
    assert_eq!(far(&app, "POST", "/users", FORM, &format!("name=three&role=guest&password={new}")).await.status, 303);
    assert_eq!(one(&secrets), ["refused", "nobody known", FAR, "POST /users", "303"]);

    // What only reads stands nowhere.
    assert_eq!(far(&app, "GET", "/api/v1/users", &ours(ana, csrf), "").await.status, 200);
    assert_eq!(written().0, Vec::<Line>::new());
}
