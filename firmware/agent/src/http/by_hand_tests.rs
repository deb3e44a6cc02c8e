//! What was made by hand, through the real accept loop, with a broker that is played: who sees it, who adopts.

use super::*;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

const ID: &str = "00000000000000000000000000000000000000000000000000000000000000ab";

/// A broker that knows one container, which asks for all of the machine.
fn broker(data: &std::path::Path) {
    let listener = UnixListener::bind(data.join("none.sock")).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (read, mut write) = stream.into_split();
            let mut line = String::new();
            BufReader::new(read).read_line(&mut line).await.unwrap();
            let request: Value = serde_json::from_str(&line).unwrap();
            let container = json!({ "id": ID, "name": "<i>site", "image": "site:1", "state": "running", "ports": ["80:80/tcp"], "mounts": [],
                "project": null, "stays": null });
            let taken = json!({ "id": ID, "name": "<i>site", "carried": [], "was": { "up": true, "restart": "no", "retries": 0 }, "not": [],
                "form": { "image": "site:1", "privileged": true, "environment": { "PASSWORD": "se-cret" } }, "differs": ["<i>other"] });
            let answer = match request["request"].as_str().unwrap() {
                "by-hand" => json!({ "done": { "containers": [container], "more": false,
                    "images": [{ "id": format!("sha256:{ID}"), "tags": [], "bytes": 7, "used-by": [] }],
                    "volumes": [{ "name": "data", "used-by": ["<i>site"] }] } }),
                "look-by-hand" if request["container"] == ID => json!({ "done": taken }),
                "clear-by-hand" => json!({ "failed": { "error": "it is used by site", "output": "" } }),
                _ => json!({ "done": null }),
            };
            let _gone = write.write_all(format!("{answer}\n").as_bytes()).await;
        }
    });
}

#[tokio::test]
async fn operators_see_what_was_made_by_hand_owners_adopt_it_and_nobody_else_knows_of_it() {
    let data = tempfile::tempdir().unwrap();
    broker(data.path());
    let (app, sessions) = peopled(data.path()).await;
    let [owner, operator, guest] = [0, 1, 2].map(|n: usize| ours(&sessions[n].1, &sessions[n].2));
    let (list, one) = ("/api/v1/by-hand", format!("/api/v1/by-hand/containers/{ID}"));
    for nobody in ["", &guest] {
        for path in [list, &one, "/by-hand", &format!("/by-hand/{ID}")] {
            let answer = far(&app, "GET", path, nobody, "").await;
            assert!(matches!(answer.status, 401 | 403 | 303) && !answer.body().contains("site"), "{path}: {}", answer.text);
        }
        assert!(!far(&app, "GET", "/apps", nobody, "").await.body().contains("by-hand"));
    }
    for path in [list, &one, "/by-hand", &format!("/by-hand/{ID}")] {
        let answer = far(&app, "GET", path, &operator, "").await;
        assert!(answer.status == 200 && answer.body().contains("site:1") && !answer.body().contains("se-cret"), "{path}: {}", answer.text);
        assert!(path.starts_with("/api") || !answer.body().contains("<i>"), "{path}: {}", answer.text);
    }
    assert!(far(&app, "GET", "/apps", &operator, "").await.body().contains("href=\"/by-hand\""));
    assert_eq!(far(&app, "GET", "/api/v1/by-hand/containers/none", &operator, "").await.status, 404);
    let wish = json!({ "name": "radio" }).to_string();
    assert_eq!(far(&app, "POST", &one, &operator, &wish).await.status, 403);
    for path in ["/api/v1/by-hand/volumes/data", &one, &format!("/api/v1/by-hand/images/sha256:{ID}")] {
        assert_eq!(far(&app, "DELETE", path, &operator, "").await.status, 403);
        assert_eq!(far(&app, "DELETE", path, &owner, "").await.status, 409, "{path}");
    }
    // What it asks of the node is allowed first; nothing is done until then.
    let refused = far(&app, "POST", &one, &owner, &wish).await;
    assert!(refused.status == 403 && refused.body().contains("`privileged`"), "{}", refused.text);
    let csrf = &sessions[0].2;
    let form = format!("cookie: {}\r\norigin: http://garden\r\ncontent-type: application/x-www-form-urlencoded\r\n", sessions[0].1);
    let fields = serde_urlencoded::to_string([("csrf", csrf.as_str()), ("name", "radio")]).unwrap();
    let sent = far(&app, "POST", &format!("/by-hand/{ID}/adopt"), &form, &fields).await;
    assert_eq!((sent.status, sent.header("location")), (303, Some("/own/radio")), "{}", sent.text);
    let saved = far(&app, "GET", "/own/radio", &owner, "").await;
    assert!(saved.body().contains(&format!("/by-hand/{ID}")) && !saved.body().contains("/apps/radio/install"), "{}", saved.text);
    // Values stand in it that no operator typed.
    for path in ["/api/v1/own-apps/radio", "/own/radio"] {
        let theirs = far(&app, "GET", path, &operator, "").await;
        assert!(theirs.status == 403 && !theirs.body().contains("se-cret"), "{path}: {}", theirs.text);
    }
    let over = json!({ "title": "Radio", "form": { "image": "site:1" } }).to_string();
    assert_eq!(far(&app, "PUT", "/api/v1/own-apps/radio", &operator, &over).await.status, 403);
    let beside = far(&app, "POST", "/api/v1/apps/radio", &owner, "{}").await;
    assert!(beside.status == 409 && beside.body().contains("an owner adopts that"), "{}", beside.text);
    let again = far(&app, "POST", &format!("/by-hand/{ID}/adopt"), &form, &fields.replace("radio", "Radio")).await;
    assert!(again.status == 422 && again.body().contains("is no name for an app"), "{}", again.text);
    let used = far(&app, "POST", "/by-hand/volumes/data/remove", &form, &fields).await;
    assert!(used.status == 409 && used.body().contains("it is used by site"), "{}", used.text);
}
