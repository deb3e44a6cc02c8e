//! Apps of people's own through the real accept loop: who saves, who grants, who sees.

use super::*;

const RADIO: &str = "services:\n  app:\n    image: x:1\n    environment:\n      PASSWORD: se-cret\n    devices: [/dev/ttyUSB0]\n";

fn encoded(fields: &[(&str, &str)]) -> String {
    serde_urlencoded::to_string(fields).unwrap()
}

fn form(cookie: &str) -> String {
    format!("cookie: {cookie}\r\norigin: http://garden\r\ncontent-type: application/x-www-form-urlencoded\r\n")
}

#[tokio::test]
async fn operators_save_apps_of_their_own_and_owners_alone_grant_privileges() {
    let data = tempfile::tempdir().unwrap();
    let (app, sessions) = peopled(data.path()).await;
    let (owner, operator, guest) = (&sessions[0], &sessions[1], &sessions[2]);
    let at = "/api/v1/own-apps/radio";
    let body = json!({ "title": "Radio", "compose": RADIO }).to_string();
    for nobody in [String::new(), ours(&guest.1, &guest.2)] {
        assert!(matches!(far(&app, "PUT", at, &nobody, &body).await.status, 401 | 403));
        assert!(matches!(far(&app, "GET", at, &nobody, "").await.status, 401 | 403));
        assert!(matches!(far(&app, "GET", "/api/v1/own-apps", &nobody, "").await.status, 401 | 403));
        assert!(!far(&app, "GET", "/apps", &nobody, "").await.body().contains("radio"));
    }
    let saved = far(&app, "PUT", at, &ours(&operator.1, &operator.2), &body).await;
    assert_eq!(saved.status, 200, "{}", saved.text);
    let asked = &saved.json()["asked"][0];
    assert_eq!((&asked["privilege"], &asked["line"], &asked["granted"]), (&json!("device=/dev/ttyUSB0"), &json!(6), &json!(false)));
    // No value of its environment is where it is not asked for.
    assert!(
        !saved.body().contains("se-cret")
            && !far(&app, "GET", "/api/v1/own-apps", &ours(&operator.1, &operator.2), "").await.body().contains("se-cret")
    );
    let install = far(&app, "POST", "/api/v1/apps/radio", &ours(&operator.1, &operator.2), "{}").await;
    assert_eq!(install.status, 403);
    assert!(
        install.json()["detail"].as_str().unwrap().starts_with("line 6, column 15: `services.app.devices` asks for"),
        "{}",
        install.text
    );
    let grants = json!(["device=/dev/ttyUSB0"]).to_string();
    assert_eq!(far(&app, "PUT", &format!("{at}/grants"), &ours(&operator.1, &operator.2), &grants).await.status, 403);
    let ticked = encoded(&[("csrf", &operator.2), ("grant.device=/dev/ttyUSB0", "yes")]);
    assert_eq!(far(&app, "POST", "/own/radio/grant", &form(&operator.1), &ticked).await.status, 403);
    for never in ["device=/dev/sda", "host-path=/var/lib/cloudy", "privileged"] {
        let answer = far(&app, "PUT", &format!("{at}/grants"), &ours(&owner.1, &owner.2), &json!([never]).to_string()).await;
        assert_eq!(answer.status, 422, "{never}: {}", answer.text);
    }
    let ticked = encoded(&[("csrf", &owner.2), ("grant.device=/dev/ttyUSB0", "yes")]);
    let answer = far(&app, "POST", "/own/radio/grant", &form(&owner.1), &ticked).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/own/radio")), "{}", answer.text);
    let shown = far(&app, "GET", at, &ours(&operator.1, &operator.2), "").await.json();
    assert_eq!((&shown["asked"][0]["granted"], &shown["granted-by"]), (&json!(true), &json!("ana")));
    // Another program under the same name has none of it.
    let other = json!({ "title": "Radio", "compose": RADIO.replace("x:1", "evil:1") }).to_string();
    let saved = far(&app, "PUT", at, &ours(&operator.1, &operator.2), &other).await;
    assert_eq!(saved.json()["asked"][0]["granted"], false);
    assert_eq!(far(&app, "DELETE", at, &ours(&operator.1, &operator.2), "").await.status, 200);
    assert_eq!(far(&app, "GET", at, &ours(&operator.1, &operator.2), "").await.status, 404);
}

#[tokio::test]
async fn a_page_says_what_is_wrong_where_and_shows_what_was_typed() {
    let data = tempfile::tempdir().unwrap();
    let (app, sessions) = peopled(data.path()).await;
    let (_, cookie, csrf) = &sessions[1];
    let typed = RADIO.replace("    devices: [/dev/ttyUSB0]\n", "    env_file: .env\n").replace('\n', "\r\n");
    let fields = |compose: &str| encoded(&[("csrf", csrf), ("new", "yes"), ("name", "radio"), ("title", "Radio"), ("compose", compose)]);
    let answer = far(&app, "POST", "/own-compose", &form(cookie), &fields(&typed)).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert!(
        answer.body().contains("line 6, column 5: `services.app.env_file`: files beside this one are not read")
            && answer.body().contains("PASSWORD: se-cret"),
        "{}",
        answer.text
    );
    let good = typed.replace("    env_file: .env\r\n", &format!("    # {}\r\n", "x".repeat(40_000)));
    assert_eq!(far(&app, "POST", "/own-compose", &form(cookie), &fields(&good).replace("csrf=", "csrf=0")).await.status, 403);
    let answer = far(&app, "POST", "/own-compose", &form(cookie), &fields(&good)).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/apps/radio/install")), "{}", answer.text);
    assert_eq!(
        far(&app, "POST", "/own-compose", &form(cookie), &fields(&good)).await.status,
        409,
        "what is there is not put over as something new"
    );
    let long = far(&app, "POST", "/own-compose", &form(cookie), &fields(&"x".repeat(300_000))).await;
    assert_eq!(long.status, 413);
    let part = |name: &str, value: &str| format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let file = |csrf: &str, text: &str| {
        let fields = [("csrf", csrf), ("new", "yes"), ("name", "filed"), ("title", "Filed"), ("compose", ""), ("file", text)];
        fields.map(|(name, value)| part(name, value)).concat() + "--b--\r\n"
    };
    let multipart = form(cookie).replace("application/x-www-form-urlencoded", "multipart/form-data; boundary=b");
    assert_eq!(far(&app, "POST", "/own-compose", &multipart, &file("0", &good)).await.status, 403);
    let answer = far(&app, "POST", "/own-compose", &multipart, &file(csrf, &typed)).await;
    assert!(answer.status == 422 && answer.body().contains("PASSWORD: se-cret"), "what was sent is shown: {}", answer.text);
    let answer = far(&app, "POST", "/own-compose", &multipart, &file(csrf, &good)).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/apps/filed/install")), "{}", answer.text);
    let fields = encoded(&[("csrf", csrf), ("new", "yes"), ("name", "web"), ("title", "Web"), ("image", "nginx:1"), ("ports", "x")]);
    let answer = far(&app, "POST", "/own-form", &form(cookie), &fields).await;
    assert!(answer.status == 422 && answer.body().contains("`x` is no port") && answer.body().contains("nginx:1"), "{}", answer.text);
    let answer = far(&app, "POST", "/own-form", &form(cookie), &fields.replace("ports=x", "ports=80")).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    let page = far(&app, "GET", "/apps", &ours(cookie, csrf), "").await;
    assert!(page.body().contains("data-own=\"web\"") && page.body().contains("/own/radio"), "{}", page.text);
    for path in ["/own-form", "/own-compose", "/own/web", "/own/radio", "/apps/web/install"] {
        assert_eq!(far(&app, "GET", path, &ours(cookie, csrf), "").await.status, 200, "{path}");
    }
    let removed = far(&app, "POST", "/own/web/remove", &form(cookie), &encoded(&[("csrf", csrf)])).await;
    assert_eq!((removed.status, removed.header("location")), (303, Some("/apps")));
}

#[tokio::test]
async fn a_compose_file_that_is_a_blob_is_read_like_one_that_is_pasted() {
    let data = tempfile::tempdir().unwrap();
    let (app, sessions) = peopled(data.path()).await;
    let (_, cookie, csrf) = &sessions[1];
    let add = async |text: &str| {
        let added = far(&app, "POST", "/api/v1/blobs?name=compose.yaml&visibility=private", &ours(cookie, csrf), text).await;
        assert_eq!(added.status, 201, "{}", added.text);
        added.json()["hash"].as_str().unwrap().to_owned()
    };
    let put =
        async |name: &str, body: Value| far(&app, "PUT", &format!("/api/v1/own-apps/{name}"), &ours(cookie, csrf), &body.to_string()).await;
    let good = add(&RADIO.replace('\n', "\r\n")).await;
    let saved = put("radio", json!({ "title": "Radio", "blob": good })).await;
    assert_eq!((saved.status, &saved.json()["asked"][0]["line"]), (200, &json!(6)), "{}", saved.text);
    let shown = far(&app, "GET", "/api/v1/own-apps/radio", &ours(cookie, csrf), "").await.json();
    assert_eq!(shown["definition"], json!({ "title": "Radio", "compose": RADIO }), "the text is saved, and not where it came from");
    // By the form, by an address: what is wrong is said with its place, and the text is there to be mended.
    let wrong = add(&RADIO.replace("    devices: [/dev/ttyUSB0]\n", "    env_file: .env\n")).await;
    let fields = |blob: &str, compose: &str| {
        encoded(&[("csrf", csrf), ("new", "yes"), ("name", "music"), ("title", "Music"), ("compose", compose), ("blob", blob)])
    };
    let answer = far(&app, "POST", "/own-compose", &form(cookie), &fields(&wrong, "")).await;
    let has = |text: &str| assert!(answer.body().contains(text), "{text}: {}", answer.text);
    assert_eq!(answer.status, 422);
    has("line 6, column 5: `services.app.env_file`: files beside this one are not read");
    has("PASSWORD: se-cret");
    let address = format!("http://garden:4750/{good}/compose.yaml");
    let answer = far(&app, "POST", "/own-compose", &form(cookie), &fields(&address, "what stands above")).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/own/music")), "{}", answer.text);
    // What can't be read is said.
    let long = add(&"#".repeat(50_000)).await;
    for (blob, status, words, on_the_page) in [
        ("0f".repeat(32), 404, "no node of the microcloud says that it holds", "No node of the microcloud holds this file."),
        ("http://garden/compose.yaml".to_owned(), 422, "names no blob", "names no blob"),
        (long, 422, "has 50000 bytes, where 49152 are allowed", "has 50000 bytes, where 49152 are allowed"),
    ] {
        let answer = put("other", json!({ "title": "x", "blob": blob })).await;
        assert!(answer.status == status && answer.body().contains(words), "{words}: {}", answer.text);
        let answer = far(&app, "POST", "/own-compose", &form(cookie), &fields(&blob, "")).await;
        assert!(answer.status == status && answer.body().contains(on_the_page), "{on_the_page}: {}", answer.text);
    }
    let both = put("other", json!({ "title": "x", "blob": good, "compose": RADIO })).await;
    assert!(both.status == 422 && both.body().contains("a blob that is one"), "{}", both.text);
    assert_eq!(put("other", json!({ "title": "x", "url": good })).await.status, 422);
    let (_, guest, guests) = &sessions[2];
    let body = json!({ "title": "x", "blob": good }).to_string();
    assert_eq!(far(&app, "PUT", "/api/v1/own-apps/other", &ours(guest, guests), &body).await.status, 403);
    app.blobs().close().await;
}
