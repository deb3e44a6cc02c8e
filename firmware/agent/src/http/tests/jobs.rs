//! Apps and jobs through the router, against a broker that is played: as they happen, and by two at once.

use super::*;
use crate::apps::tests::{Played, wish};
use crate::http::openapi::check::shape;

/// An agent with an app in its catalog and people.
pub(super) async fn with_app(played: &Played) -> (Arc<App>, Vec<(Role, String, String)>) {
    drop(played.with_app());
    let (data, broker) = (played.dir.path().to_owned(), played.dir.path().join("broker.sock"));
    let app = Arc::new(App::new(data, broker, "garden".to_owned(), Vec::new(), None, None, ([127, 0, 0, 1], 4748).into()));
    let sessions = people(&app).await;
    (app, sessions)
}

/// What is answered to its end.
pub(super) async fn to_the_end(app: &Arc<App>, path: &str, headers: &str, meanwhile: impl AsyncFnOnce()) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stop, stopping) = watch::channel(false);
    let server = tokio::spawn(serve(Listener::Tcp(listener), network(Arc::clone(app)), stopping));
    stream.write_all(request("GET", path, headers, "").as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    meanwhile().await;
    let mut text = String::new();
    tokio::time::timeout(std::time::Duration::from_secs(60), stream.read_to_string(&mut text)).await.unwrap().unwrap();
    stop.send(true).unwrap();
    server.await.unwrap();
    text
}

pub(super) fn told(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| line.strip_prefix("data: ")).map(|data| serde_json::from_str(data).unwrap()).collect()
}

pub(super) async fn until_over(app: &Arc<App>) {
    while app.apps().jobs().iter().any(|job| !job.over) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_job_is_told_as_it_happens_until_it_is_over() {
    let played = Played::start();
    let (app, sessions) = with_app(&played).await;
    let (_, cookie, csrf) = &sessions[1];
    let headers = ours(cookie, csrf);
    let begun = far(&app, "POST", "/api/v1/apps/broker", &headers, &serde_json::to_string(&wish()).unwrap()).await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    let id = begun.json()["id"].as_u64().unwrap();
    let text = to_the_end(&app, &format!("/api/v1/jobs/{id}/events"), &headers, async || ()).await;
    let all = told(&text);
    for job in &all {
        shape(&json!({ "$ref": "#/components/schemas/JobView" }), job, "an event");
    }
    assert!(text.contains("event: job\n") && !text.contains("se-cret"), "{text}");
    assert!(all.last().is_some_and(|job| job["state"] == "done" && job["over"] == true), "{all:?}");
    assert!(all.windows(2).all(|two| two[0] != two[1]), "each word says something new");
    // It is over: that is said once, and no more.
    assert_eq!(told(&to_the_end(&app, &format!("/api/v1/jobs/{id}/events"), &headers, async || ()).await).len(), 1);
    assert_eq!(far(&app, "GET", "/api/v1/jobs/99/events", &headers, "").await.status, 404);
}

#[tokio::test]
async fn who_may_not_any_more_hears_no_more_of_jobs() {
    let played = Played::start();
    let (app, sessions) = with_app(&played).await;
    let (_, cookie, csrf) = &sessions[1];
    let text = to_the_end(&app, "/api/v1/jobs/events", &ours(cookie, csrf), async || {
        app.users().set_role("ben", Role::Guest, crate::revision::Expected::anything()).await.unwrap();
        app.apps().install("broker", wish()).unwrap();
    })
    .await;
    assert!(told(&text).is_empty(), "{text}");
    until_over(&app).await;
}

#[tokio::test]
async fn of_two_who_change_an_app_the_second_is_told_in_the_api_and_on_the_page() {
    let played = Played::start();
    let (app, sessions) = with_app(&played).await;
    let (_, cookie, csrf) = &sessions[1];
    let headers = ours(cookie, csrf);
    app.apps().install("broker", wish()).unwrap();
    until_over(&app).await;
    let seen = far(&app, "GET", "/api/v1/apps/broker/settings", &headers, "").await;
    let tag = format!("{headers}if-match: {}\r\n", seen.header("etag").unwrap());
    let change = json!({ "settings": { "password": "another" } }).to_string();
    let put = async |headers: &str| far(&app, "PUT", "/api/v1/apps/broker", headers, &change).await.status;
    // Whether it runs is nobody's edit.
    app.apps().act("broker", crate::units::Action::Stop).unwrap();
    until_over(&app).await;
    assert_eq!(put(&tag).await, 202);
    until_over(&app).await;
    assert_eq!(put(&tag).await, 412);
    assert_eq!(far(&app, "DELETE", "/api/v1/apps/broker", &tag, "").await.status, 412);

    let revision = seen.header("etag").unwrap().trim_start_matches('"').split('-').next().unwrap().to_owned();
    let form =
        format!("cookie: {cookie}\r\norigin: http://garden\r\ncontent-type: application/x-www-form-urlencoded\r\naccept-language: es\r\n");
    for action in ["change", "remove", "update"] {
        let late = far(&app, "POST", &format!("/apps/broker/{action}"), &form, &format!("csrf={csrf}&revision={revision}")).await;
        assert!(late.status == 412 && late.body().contains("Otra persona cambió esta aplicación"), "{action}: {}", late.text);
    }
    let now = app.apps().list().await[0].revision;
    let page = far(&app, "GET", "/apps/broker", &form, "").await;
    assert!(page.body().contains(&format!("name=\"revision\" value=\"{now}\"")), "{}", page.text);
    let done = far(&app, "POST", "/apps/broker/change", &form, &format!("csrf={csrf}&revision={now}&set.password=fourth")).await;
    assert_eq!(done.status, 303, "{}", done.text);
    until_over(&app).await;
}

#[tokio::test]
async fn an_app_is_installed_once_under_one_key() {
    let mut played = Played::start();
    let (app, sessions) = with_app(&played).await;
    let (_, cookie, csrf) = &sessions[1];
    let headers = format!("{}idempotency-key: k\r\n", ours(cookie, csrf));
    let wish = serde_json::to_string(&wish()).unwrap();
    let install = async || far(&app, "POST", "/api/v1/apps/broker", &headers, &wish).await;
    let first = install().await;
    let again = install().await;
    assert_eq!((first.status, again.status, again.body()), (202, 202, first.body()));
    until_over(&app).await;
    assert_eq!(install().await.body(), first.body());
    assert_eq!(app.apps().jobs().len(), 1);
    let kept = std::fs::read_to_string(played.dir.path().join("once.json")).unwrap();
    assert!(!kept.contains("se-cret") && kept.contains("202"), "{kept}");
    assert_eq!(played.words(), ["pull", "up"]);
}

#[tokio::test]
async fn jobs_have_a_page_for_operators_and_say_who_asked_for_them() {
    let played = Played::start();
    let (app, sessions) = with_app(&played).await;
    let [(_, owner, _), (_, operator, csrf), (_, guest, _)] = &sessions[..] else { panic!("{sessions:?}") };
    let page = async |cookie: &str, path: &str| far(&app, "GET", path, &format!("cookie: {cookie}\r\n"), "").await;
    for path in ["/jobs", "/jobs/body"] {
        assert!(page(owner, path).await.body().contains("Nothing was done with apps yet."));
        let refused = page(guest, path).await;
        assert!(refused.status == 403 && !refused.body().contains("Nothing was done"), "{}", refused.text);
        assert_eq!(far(&app, "GET", path, "", "").await.header("location"), Some("/login"));
    }
    let headers = ours(operator, csrf);
    let begun = far(&app, "POST", "/api/v1/apps/broker", &headers, &serde_json::to_string(&wish()).unwrap()).await;
    assert_eq!((begun.status, begun.json()["by"].as_str()), (202, Some("ben")), "{}", begun.text);
    until_over(&app).await;
    // Under a key the work is another task's, and the local socket is nobody whose name is known.
    let stop = far(&app, "POST", "/api/v1/apps/broker/stop", &format!("{headers}idempotency-key: k\r\n"), "").await;
    assert_eq!(stop.json()["by"], "ben", "{}", stop.text);
    until_over(&app).await;
    let start = near(&app, "POST", "/api/v1/apps/broker/start", "").await.json();
    assert!(start["by"].is_null() && start["begun"].is_u64() && start["ended"].is_null(), "{start}");
    until_over(&app).await;
    let over = near(&app, "GET", "/api/v1/jobs/3", "").await.json();
    assert!(over["ended"].as_u64() >= over["begun"].as_u64() && over["ended"].is_u64(), "{over}");

    let first = page(operator, "/jobs?limit=2").await;
    let at = |text: &Answer, what: &str| text.body().find(what).unwrap_or_else(|| panic!("{what}: {}", text.text));
    assert!(at(&first, "data-job=\"3\"") < at(&first, "data-job=\"2\"") && !first.body().contains("data-job=\"1\""));
    assert!(first.body().contains("href=\"/jobs?limit=2&amp;after=2\"") && first.body().contains("data-fresh=\"/jobs/body?limit=2\""));
    let second = page(operator, "/jobs?limit=2&after=2").await;
    assert!(
        second.body().contains("data-job=\"1\"") && second.body().contains("asked by ben") && !second.body().contains("data-job=\"2\"")
    );
    assert_eq!(page(operator, "/jobs?after=x").await.status, 400);
}
