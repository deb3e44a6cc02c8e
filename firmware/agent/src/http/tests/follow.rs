//! Logs as they come, and what apps use, through the router, against a broker that is played.

use super::jobs::{to_the_end, told, until_over, with_app};
use super::*;
use crate::apps::tests::{Played, wish};
use crate::http::openapi::check::shape;
use crate::limits::FOLLOWERS_OF_ONE;
use crate::revision::Expected;
use std::time::Duration;

const EVENTS: &str = "/api/v1/apps/broker/logs/events";

/// An agent with an app that runs, and people.
async fn running(played: &Played) -> (Arc<App>, Vec<(Role, String, String)>) {
    let (app, sessions) = with_app(played).await;
    app.apps().install("broker", wish()).unwrap();
    until_over(&app).await;
    (app, sessions)
}

fn says(lines: &[&str]) -> Value {
    json!({ "done": { "lines": lines, "missed": false, "heard": {} } })
}

#[tokio::test]
async fn an_app_is_followed_until_it_goes_and_what_it_says_is_data_and_nothing_else() {
    let played = Played::start();
    let (app, sessions) = running(&played).await;
    let (_, cookie, csrf) = &sessions[1];
    played.answer("since", says(&["one", "event: job\ndata: <b>\u{2028}", "two"]));
    let text = to_the_end(&app, &format!("{EVENTS}?lines=2"), &ours(cookie, csrf), async || {
        played.answer("since", says(&["three"]));
        played.answer("since", json!({ "failed": { "error": "Docker does not answer" } }));
        played.answered().await;
        app.apps().remove("broker", true, &Expected::anything()).unwrap();
        until_over(&app).await;
    })
    .await;
    let all = told(&text);
    for news in &all {
        shape(&json!({ "$ref": "#/components/schemas/LogNews" }), news, "an event");
    }
    assert_eq!((&all[0]["lines"], &all[0]["first"]), (&json!(["event: job\ndata: <b>\u{2028}", "two"]), &json!(true)), "{text}");
    assert!(!text.contains("event: job\n") && text.contains("event: log\n"), "an app's words are no event: {text}");
    let rest: Vec<&Value> = all[1..].iter().flat_map(|news| news["lines"].as_array().unwrap()).collect();
    assert_eq!(rest, [&json!("three")]);
    assert!(all.iter().any(|news| news["unknown"] == "Docker does not answer"), "{text}");
    assert_eq!(far(&app, "GET", EVENTS, &ours(cookie, csrf), "").await.status, 404);
}

#[tokio::test]
async fn who_may_not_any_more_follows_no_more_also_where_nothing_is_said() {
    let played = Played::start();
    let (app, sessions) = running(&played).await;
    let (_, cookie, csrf) = &sessions[1];
    played.answer("since", says(&["before"]));
    let text = to_the_end(&app, EVENTS, &ours(cookie, csrf), async || {
        app.users().set_role("ben", Role::Guest, Expected::anything()).await.unwrap();
        played.answer("since", says(&["se-cret"]));
    })
    .await;
    assert!(!text.contains("se-cret"), "{text}");
    for (role, cookie, csrf) in &sessions[2..] {
        for path in [EVENTS, "/api/v1/app-uses"] {
            assert_eq!(far(&app, "GET", path, &ours(cookie, csrf), "").await.status, 403, "{role:?} {path}");
        }
        assert!(!far(&app, "GET", "/apps", &ours(cookie, csrf), "").await.body().contains("data-use"));
    }
    assert_eq!(far(&app, "GET", EVENTS, "", "").await.status, 401);
}

#[tokio::test]
async fn one_person_follows_so_many_at_once_and_who_has_gone_makes_room() {
    let played = Played::start();
    let (app, sessions) = running(&played).await;
    let (_, cookie, csrf) = &sessions[0];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (stop, stopping) = watch::channel(false);
    let server = tokio::spawn(serve(Listener::Tcp(listener), network(Arc::clone(&app)), stopping));
    let open = async |who: &(Role, String, String)| {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(request("GET", EVENTS, &ours(&who.1, &who.2), "").as_bytes()).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        (stream, String::from_utf8(head[9..].to_vec()).unwrap())
    };
    let mut all = Vec::new();
    for _ in 0..FOLLOWERS_OF_ONE {
        let (stream, status) = open(&sessions[1]).await;
        assert_eq!(status, "200");
        all.push(stream);
    }
    assert_eq!(open(&sessions[1]).await.1, "503");
    assert_eq!(open(&sessions[0]).await.1, "200", "others have room");
    all.pop();
    let again = async {
        while open(&sessions[1]).await.1 != "200" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), again).await.expect("who has gone makes room");
    drop(all);
    let none = far(&app, "GET", "/api/v1/apps/wiki/logs/events", &ours(cookie, csrf), "").await;
    assert_eq!(none.status, 404, "{}", none.text);
    stop.send(true).unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn what_an_app_uses_is_in_the_api_and_on_its_pages() {
    let played = Played::start();
    let (app, sessions) = running(&played).await;
    let (_, cookie, csrf) = &sessions[1];
    let counted = |cpu: u64, machine: u64| {
        json!({ "done": { "broker": { "id": {
            "cpu-nanos": cpu, "machine-nanos": machine, "cpus": 2, "memory": 12_000_000, "memory-limit": 64_000_000,
            "received": 1, "sent": 2, "read": 3, "written": 4,
        } } } })
    };
    played.answer("uses", counted(0, 1_000));
    let first = far(&app, "GET", "/api/v1/app-uses", &ours(cookie, csrf), "").await.json();
    assert!(first["apps"][0]["memory-bytes"].is_u64() && first["apps"][0]["cpu-percent"].is_null(), "{first}");
    app.apps().forget_uses().await;
    played.answer("uses", counted(100, 2_000));
    let uses = far(&app, "GET", "/api/v1/app-uses", &ours(cookie, csrf), "").await.json();
    assert_eq!(
        (&uses["apps"][0]["name"], &uses["apps"][0]["cpu-percent"], &uses["apps"][0]["memory-bytes"]),
        (&json!("broker"), &json!(20.0), &json!(12_000_000))
    );
    for path in ["/apps", "/apps/broker"] {
        let page = far(&app, "GET", path, &ours(cookie, csrf), "").await;
        assert!(
            page.body().contains("data-use=\"broker\"") && page.body().contains("20.0 %") && page.body().contains("12 MB of 64 MB"),
            "{}",
            page.text
        );
    }
    let one = far(&app, "GET", "/apps/broker", &ours(cookie, csrf), "").await;
    assert!(one.body().contains("it says this") && one.body().contains("data-follow=\"/api/v1/apps/broker/logs/events\""), "{}", one.text);
}
