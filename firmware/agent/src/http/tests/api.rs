//! What every part of the API does alike: keys for what is done once, pages, tags, and jobs as they happen.

use super::*;
use crate::broker::Progress;
use crate::http::openapi::check::shape;
use hyper_util::service::TowerToHyperService;

const KEY: &str = "idempotency-key: \"0b54\"\r\n";

fn by(cookie: &str, csrf: &str, more: &str) -> String {
    format!("{}{more}", ours(cookie, csrf))
}

/// A person to be added; the name says who.
fn person(name: &str) -> String {
    json!({ "name": name, "role": "guest", "password": PASSWORD }).to_string()
}

#[tokio::test]
async fn under_one_key_something_is_done_once_and_answered_alike() {
    let data = tempfile::tempdir().unwrap();
    let (app, sessions) = peopled(data.path()).await;
    let (_, cookie, csrf) = &sessions[0];
    let headers = by(cookie, csrf, KEY);
    let add = async |app: &Arc<App>, name: &str, headers: &str| far(app, "POST", "/api/v1/users", headers, &person(name)).await;
    let first = add(&app, "new", &headers).await;
    assert!(first.status == 200 && first.header("idempotency-replayed").is_none(), "{}", first.text);
    let again = add(&app, "new", &headers).await;
    assert_eq!((again.status, again.body(), again.header("idempotency-replayed")), (200, first.body(), Some("true")));
    assert_eq!(app.users().list().len(), 4);
    let other = add(&app, "other", &headers).await;
    assert!(other.status == 422 && other.body().contains("new key") && app.users().list().len() == 4, "{}", other.text);
    // Without a key it is another request; another person's key is another key; a key that is none is refused.
    assert_eq!(add(&app, "new", &ours(cookie, csrf)).await.status, 409);
    assert_eq!(near_with(&app, "POST", "/api/v1/users", KEY, &person("nears")).await.status, 200);
    for bad in ["idempotency-key: \r\n", "idempotency-key: a b\r\n", "idempotency-key: a\r\nidempotency-key: a\r\n"] {
        assert_eq!(add(&app, "x", &by(cookie, csrf, bad)).await.status, 400, "{bad}");
    }
    // Who may not, may not with a key either: neither do it, nor hear what was answered.
    for (_, cookie, csrf) in &sessions[1..] {
        assert_eq!(add(&app, "new", &by(cookie, csrf, KEY)).await.status, 403);
    }
    assert_eq!(add(&app, "new", KEY).await.status, 401);
    // What was refused did nothing, and may come again.
    let key = "idempotency-key: second\r\n";
    let refused = far(
        &app,
        "POST",
        "/api/v1/users",
        &by(cookie, csrf, key),
        &json!({ "name": "Bad", "role": "guest", "password": PASSWORD }).to_string(),
    )
    .await;
    assert_eq!(refused.status, 422);
    assert_eq!(add(&app, "good", &by(cookie, csrf, key)).await.status, 200);

    // A restart of the agent forgets nothing of it; on its disk stands no password.
    let token = app.users().make_token("ana", Scope::Admin, String::new()).await.unwrap().1;
    let later = agent(data.path());
    let bearer = format!("authorization: Bearer {token}\r\n{KEY}");
    let again = add(&later, "new", &bearer).await;
    assert_eq!((again.status, again.body(), again.header("idempotency-replayed")), (200, first.body(), Some("true")));
    assert_eq!(add(&later, "other", &bearer).await.status, 422);
    let kept = std::fs::read_to_string(data.path().join("once.json")).unwrap();
    assert!(!kept.contains("horse") && !kept.contains("0b54"), "{kept}");
}

#[tokio::test]
async fn a_secret_is_answered_again_while_the_agent_runs_and_never_kept() {
    let data = tempfile::tempdir().unwrap();
    let (app, _) = peopled(data.path()).await;
    let make = async |app: &Arc<App>| {
        let body = json!({ "scope": "read", "label": "x" }).to_string();
        near_with(app, "POST", "/api/v1/users/ana/tokens", KEY, &body).await
    };
    let first = make(&app).await;
    let secret = first.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(make(&app).await.json(), first.json());
    assert_eq!(app.users().tokens(Some("ana")).len(), 1);
    let kept = std::fs::read_to_string(data.path().join("once.json")).unwrap();
    assert!(!kept.contains(&secret) && !kept.contains("cloudy-user"), "{kept}");
    let later = agent(data.path());
    let again = make(&later).await;
    assert!(again.status == 409 && again.body().contains("its answer is not kept"), "{}", again.text);
    assert_eq!(later.users().tokens(Some("ana")).len(), 1);
    // A person's requests go with the person.
    let token = later.users().make_token("ben", Scope::Admin, String::new()).await.unwrap().1;
    later.users().set_role("ben", Role::Owner, crate::revision::Expected::anything()).await.unwrap();
    let bearer = format!("authorization: Bearer {token}\r\n{KEY}");
    assert_eq!(far(&later, "POST", "/api/v1/users", &bearer, &person("cat")).await.status, 200);
    assert_eq!(near(&later, "DELETE", "/api/v1/users/ben", "").await.status, 200);
    later.users().add("ben".to_owned(), Role::Owner, PASSWORD.to_owned()).await.unwrap();
    let token = later.users().make_token("ben", Scope::Admin, String::new()).await.unwrap().1;
    let bearer = format!("authorization: Bearer {token}\r\n{KEY}");
    assert_eq!(far(&later, "POST", "/api/v1/users", &bearer, &person("cat")).await.status, 409, "there is a cat; nothing is repeated");
}

/// What was begun under the key ends, and its answer is there for who asks again.
async fn assert_is_answered(app: &Arc<App>) {
    let again = async {
        loop {
            let answer = near_with(app, "POST", "/api/v1/users", KEY, &person("new")).await;
            if answer.status != 409 {
                break answer;
            }
            assert!(answer.header("retry-after").is_some() && answer.body().contains("at work"), "{}", answer.text);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let answer = tokio::time::timeout(std::time::Duration::from_secs(60), again).await.expect("what was begun ends");
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (200, Some("true")), "{}", answer.text);
}

#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "that nothing can be written is what this is about")]
async fn who_hangs_up_while_it_is_written_down_gets_the_answer_too() {
    let data = tempfile::tempdir().unwrap();
    let (app, _) = peopled(data.path()).await;
    let (name, key) = KEY.trim_end().split_once(": ").unwrap();
    let asked = axum::http::Request::post("/api/v1/users").header(name, key).header("content-type", "application/json");
    let asked = asked.extension(Peer::Local(0)).body(axum::body::Body::from(person("new"))).unwrap();
    let held = app.once().hold();
    let mut work = Box::pin(hyper::service::Service::call(&TowerToHyperService::new(local(Arc::clone(&app))), asked));
    while app.once().at_work() == 0 {
        assert!(futures_util::poll!(work.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    // It waits to be written down, and whoever asked hangs up.
    drop(work);
    drop(held);
    assert_is_answered(&app).await;
}

#[tokio::test]
async fn who_hangs_up_gets_the_answer_by_asking_again() {
    let data = tempfile::tempdir().unwrap();
    let (app, _) = peopled(data.path()).await;
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let (stop, stopping) = watch::channel(false);
    let server = tokio::spawn(serve(Listener::Unix(listener, |_| true), local(Arc::clone(&app)), stopping));
    let mut stream = UnixStream::connect(folder.path().join("s")).await.unwrap();
    stream.write_all(request("POST", "/api/v1/users", KEY, &person("new")).as_bytes()).await.unwrap();
    // It has come; a password takes a while to hash.
    while !data.path().join("once.json").exists() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    drop(stream);
    assert_is_answered(&app).await;
    stop.send(true).unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn of_two_owners_who_change_a_person_the_second_is_told() {
    let data = tempfile::tempdir().unwrap();
    let (app, sessions) = peopled(data.path()).await;
    let (_, cookie, csrf) = &sessions[0];
    let seen = far(&app, "GET", "/api/v1/users/eva", &format!("cookie: {cookie}\r\n"), "").await;
    let tag = format!("if-match: {}\r\n", seen.header("etag").unwrap());
    let revision = seen.json()["revision"].as_u64().unwrap();
    let role = json!({ "role": "operator" }).to_string();
    let change = async |tag: &str| far(&app, "PUT", "/api/v1/users/eva/role", &by(cookie, csrf, tag), &role).await;
    assert_eq!(change(&tag).await.status, 200);
    let late = change(&tag).await;
    assert!(late.status == 412 && late.body().contains("somebody else has changed this user"), "{}", late.text);
    assert_eq!(change(&format!("if-match: \"{revision}\"\r\n")).await.status, 412);
    assert_eq!(change(&format!("{tag}{tag}")).await.status, 400);
    let remove = far(&app, "DELETE", "/api/v1/users/eva", &by(cookie, csrf, &tag), "").await;
    assert_eq!(remove.status, 412);
    assert_eq!(change("").await.status, 200, "who does not ask is not told");

    // The page's form does the same, and says it in the reader's words.
    let form = |revision: u64| format!("csrf={csrf}&revision={revision}&role=guest");
    let kind = "content-type: application/x-www-form-urlencoded\r\naccept-language: ca\r\n";
    let headers = format!("cookie: {cookie}\r\norigin: http://garden\r\n{kind}");
    let late = far(&app, "POST", "/users/eva/role", &headers, &form(revision)).await;
    assert!(late.status == 412 && late.body().contains("Algú altre ha canviat aquest usuari"), "{}", late.text);
    let now = app.users().people().into_iter().find(|user| user.name == "eva").unwrap();
    assert!(late.body().contains(&format!("name=\"revision\" value=\"{}\"", now.revision)), "the page shows it as it is now");
    assert_eq!(far(&app, "POST", "/users/eva/role", &headers, &form(now.revision)).await.status, 303);
}

#[tokio::test]
async fn what_is_the_same_is_not_sent_again() {
    let data = tempfile::tempdir().unwrap();
    let (app, sessions) = peopled(data.path()).await;
    let headers = format!("cookie: {}\r\n", sessions[0].1);
    for path in ["/api/v1/users", "/api/v1/users/ana", "/api/v1/apps", "/api/v1/jobs", "/api/v1/catalog", "/api/v1/openapi.json"] {
        let first = far(&app, "GET", path, &headers, "").await;
        let tag = first.header("etag").unwrap();
        let again = far(&app, "GET", path, &format!("{headers}if-none-match: \"x\", W/{tag}\r\n"), "").await;
        assert_eq!((again.status, again.body(), again.header("etag")), (304, "", Some(tag)), "{path}: {}", again.text);
        assert_eq!(far(&app, "GET", path, &format!("{headers}if-none-match: \"x\"\r\n"), "").await.status, 200);
    }
    let tag = far(&app, "GET", "/api/v1/users", &headers, "").await.header("etag").unwrap().to_owned();
    app.users().add("new".to_owned(), Role::Guest, PASSWORD.to_owned()).await.unwrap();
    let now = far(&app, "GET", "/api/v1/users", &format!("{headers}if-none-match: {tag}\r\n"), "").await;
    assert_eq!(now.status, 200);
    // Nobody hears of what they may not see, whatever they have.
    assert_eq!(far(&app, "GET", "/api/v1/users", "if-none-match: *\r\n", "").await.status, 401);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let data = tempfile::tempdir().unwrap();
    let (app, _) = peopled(data.path()).await;
    let first = near(&app, "GET", "/api/v1/users?limit=2", "").await;
    assert_eq!(first.header("link"), Some("</api/v1/users?limit=2&after=ben>; rel=\"next\""));
    assert_eq!((first.json()["users"][1]["name"].as_str(), first.json()["next"].as_str()), (Some("ben"), Some("ben")));
    let second = near(&app, "GET", "/api/v1/users?limit=2&after=ben", "").await;
    assert!(second.json()["users"][0]["name"] == "eva" && second.json()["next"].is_null() && second.header("link").is_none());
    for path in ["/api/v1/users?limit=many", "/api/v1/jobs?after=x", "/api/v1/apps?sort=up", "/api/v1/users/ana/tokens?after=-1"] {
        assert_eq!(near(&app, "GET", path, "").await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn what_is_shown_of_jobs_and_apps_has_the_shape_that_is_said() {
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let job = super::super::jobs::tests::job(7, 1);
    let full = crate::apps::JobView {
        kind: crate::apps::JobKind::Remove { with_data: true },
        progress: Some(Progress { done: 1, total: 2 }),
        waits: Some("x".to_owned()),
        reason: Some("x".to_owned()),
        ..job.clone()
    };
    for job in [job, full] {
        shape(&reference("JobView"), &serde_json::to_value(job).unwrap(), "a job");
    }
    let port = crate::apps::PortView { port: 80, scheme: "http".to_owned() };
    let app = crate::apps::AppView {
        run: Some(crate::broker::Run::Ill),
        ports: [("web".to_owned(), port)].into(),
        job: Some(1),
        ..Default::default()
    };
    shape(&reference("AppView"), &serde_json::to_value(app).unwrap(), "an app");
    shape(&reference("Status"), &serde_json::to_value(crate::problems::tests::well()).unwrap(), "a status");
    let found = crate::net::Listed {
        state: Some(crate::net::Liveness::Down),
        address: Some("x".to_owned()),
        hidden: Some(Default::default()),
        ..Default::default()
    };
    let page = crate::net::Page { services: vec![found], next: Some("x".to_owned()), admin: true };
    shape(&reference("ServicesPage"), &serde_json::to_value(page).unwrap(), "services");
}
