//! Requests that come twice: at once, later, changed, after a restart.

use super::*;
use serde_json::json;

fn asked(who: &str, key: &str, body: &str) -> Asked {
    Asked::new(who, key, "POST /api/v1/users", body.as_bytes())
}

fn answer(body: &str) -> Answer {
    Answer { status: 200, body: body.to_owned() }
}

/// As a later agent reads it.
fn restarted(ledger: &Ledger, now: u64) -> Ledger {
    serde_json::from_slice(&serde_json::to_vec(&ledger.written(now)).unwrap()).unwrap()
}

const DAY: u64 = ONCE_LIFE.as_secs();

#[test]
fn the_same_is_done_once_and_answered_alike() {
    let mut ledger = Ledger::default();
    let one = asked("ana", "k", "{\"name\":\"x\"}");
    assert_eq!(ledger.begin(&one, 0), Verdict::Go);
    assert_eq!(ledger.begin(&one, 1), Verdict::AtWork);
    ledger.done(&one, answer("made"), false);
    assert_eq!(ledger.begin(&one, 2), Verdict::Again(answer("made")));
    assert_eq!(ledger.begin(&asked("ana", "k", "{\"name\":\"y\"}"), 2), Verdict::Other);
    assert_eq!(ledger.begin(&Asked::new("ana", "k", "POST /api/v1/found", b"{\"name\":\"x\"}"), 2), Verdict::Other);
    // Another's key is another key, and so is another key.
    assert_eq!(ledger.begin(&asked("ben", "k", "{\"name\":\"x\"}"), 2), Verdict::Go);
    assert_eq!(ledger.begin(&asked("ana", "l", "{\"name\":\"x\"}"), 2), Verdict::Go);
    // A refusal did nothing; a day later it is a new request.
    ledger.refused(&asked("ana", "l", ""));
    assert_eq!(ledger.begin(&asked("ana", "l", "{}"), 3), Verdict::Go);
    assert_eq!(ledger.begin(&one, DAY - 1), Verdict::Again(answer("made")));
    assert_eq!(ledger.begin(&one, DAY), Verdict::Go);
}

#[test]
fn after_a_restart_nothing_is_done_twice() {
    let mut ledger = Ledger::default();
    let (done, cut, secret) = (asked("ana", "1", "{\"name\":\"x\"}"), asked("ana", "2", "{}"), asked("ana", "3", "{}"));
    for each in [&done, &cut, &secret] {
        assert_eq!(ledger.begin(each, 0), Verdict::Go);
    }
    ledger.done(&done, answer("made"), false);
    ledger.done(&secret, answer("cloudy-user-secret"), true);
    assert_eq!(ledger.begin(&secret, 9), Verdict::Again(answer("cloudy-user-secret")));
    let mut again = restarted(&ledger, 100);
    assert_eq!(again.begin(&done, 0), Verdict::Again(answer("made")));
    assert_eq!(again.begin(&asked("ana", "1", "{\"name\":\"y\"}"), 0), Verdict::Other);
    assert_eq!(again.begin(&cut, 0), Verdict::Unknown);
    assert_eq!(again.begin(&secret, 0), Verdict::Unkept);
    // Its age goes on, over another restart too.
    let mut again = restarted(&again, 50);
    assert_eq!(again.begin(&done, DAY - 151), Verdict::Again(answer("made")));
    assert_eq!(again.begin(&done, DAY - 150), Verdict::Go);
}

#[test]
fn what_is_written_has_no_secret_in_it_nor_what_one_could_be_guessed_by() {
    let body = json!({ "name": "ana", "password": "correct horse", "settings": { "password": "x", "user": "u" }, "ports": { "web": 80 },
        "list": ["a secret"], "label": { "name": "deep" } });
    let known = json!({ "name": "ana", "password": null, "settings": { "password": null, "user": null }, "ports": { "web": 80 },
        "list": [null], "label": { "name": "deep" } });
    assert_eq!(public(&body, false, DEPTH), known);
    assert_eq!(public(&json!("secret"), false, DEPTH), Value::Null);
    let deep = (0..100).fold(json!("secret"), |inner, _| json!({ "name": inner }));
    assert!(!public(&deep, false, DEPTH).to_string().contains("secret"));

    let mut ledger = Ledger::default();
    let one = asked("ana", "my-key", "{\"name\":\"x\",\"password\":\"correct horse\"}");
    ledger.begin(&one, 0);
    ledger.done(&one, answer("cloudy-user-secret"), true);
    let text = serde_json::to_string(&ledger.written(0)).unwrap();
    assert!(
        !text.contains("secret\"") && !text.contains("cloudy-user") && !text.contains("my-key") && !text.contains(&one.whole),
        "{text}"
    );
    // Another password is another request as long as that can be told.
    let other = asked("ana", "my-key", "{\"name\":\"x\",\"password\":\"wrong horse\"}");
    assert_eq!(ledger.begin(&other, 0), Verdict::Other);
    assert_eq!(other.public, one.public);
}

#[test]
fn there_is_an_end_and_one_person_pushes_out_the_own_ones_first() {
    let mut ledger = Ledger::default();
    let bens = asked("ben", "k", "");
    ledger.begin(&bens, 0);
    ledger.done(&bens, answer("bens"), false);
    for n in 0..3 * ONCE_KEPT {
        let each = asked("ana", &n.to_string(), "");
        assert_eq!(ledger.begin(&each, 1), Verdict::Go);
        ledger.done(&each, answer(""), false);
    }
    assert_eq!(ledger.entries.len(), ONCE_KEPT_OF_ONE + 1);
    assert_eq!(ledger.begin(&bens, 1), Verdict::Again(answer("bens")));
    // What is at work is never forgotten.
    let mut busy = Ledger::default();
    for n in 0..ONCE_KEPT {
        assert_eq!(busy.begin(&asked(&format!("u{}", n % 8), &n.to_string(), ""), 0), Verdict::Go);
    }
    assert_eq!(busy.begin(&asked("new", "k", ""), 2 * DAY), Verdict::Full);
    assert_eq!(busy.entries.len(), ONCE_KEPT);
    busy.forget("u1");
    assert_eq!(busy.begin(&asked("new", "k", ""), 2 * DAY), Verdict::Go);
    // What is long is not kept; that it was done is.
    let long = asked("new", "k", "");
    busy.done(&long, answer(&"x".repeat(ONCE_ANSWER_BYTES + 1)), false);
    assert_eq!(busy.begin(&long, 2 * DAY), Verdict::Unkept);
}

#[test]
fn keys_are_short_and_plain() {
    for (header, is) in [("abc", "abc"), ("\"a-b\"", "a-b"), (" x ", "x"), (&"k".repeat(128), &"k".repeat(128))] {
        assert_eq!(key(header), Some(is));
    }
    for bad in ["", "\"\"", "a b", "\"a", "ä", "a\"b", &"k".repeat(129)] {
        assert_eq!(key(bad), None, "{bad}");
    }
}

#[tokio::test]
async fn what_can_t_be_kept_is_not_begun() {
    let data = tempfile::tempdir().unwrap();
    let one = asked("ana", "k", "");
    let nowhere = Arc::new(Onces::load(&data.path().join("nowhere"), true));
    assert!(nowhere.begin(&one).await.is_err());
    let lost = Arc::new(Onces::load(&data.path().join("nowhere"), false));
    assert_eq!(lost.begin(&one).await.unwrap(), Verdict::Go);
    let onces = Arc::new(Onces::load(data.path(), true));
    assert_eq!(onces.begin(&one).await.unwrap(), Verdict::Go);
    // Killed here, it was begun; and then it was done.
    assert_eq!(Arc::new(Onces::load(data.path(), true)).begin(&one).await.unwrap(), Verdict::Unknown);
    onces.end(&one, Some(answer("made")), false).await;
    let again = Arc::new(Onces::load(data.path(), true));
    assert_eq!(again.begin(&one).await.unwrap(), Verdict::Again(answer("made")));
    again.forget("ana").await;
    assert_eq!(Arc::new(Onces::load(data.path(), true)).begin(&one).await.unwrap(), Verdict::Go);
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(data.path().join(FILE)).unwrap());
    assert_eq!(mode & 0o777, 0o600);
}
