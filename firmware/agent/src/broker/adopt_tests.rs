//! What was made by hand, at a Docker that is played: what is shown, and that a container which becomes an app is never lost, wherever the
//! broker is cut.

use super::tests::{up, with_docker};
use crate::broker::played::{Cut, Played, image_id};
use crate::broker::{self, ByHand, Error, Request, Room, Taken, Thing, Was};
use serde_json::{Value, json};
use std::path::Path;

const ID: &str = "00000000000000000000000000000000000000000000000000000000000000ab";

/// `docker run --restart always --volume site:/site --env PASSWORD=se-cret site:1`, which runs.
fn by_hand(docker: &Played, labels: &Value) {
    let mounts = json!([{ "Type": "volume", "Name": "site", "Source": "/x", "Destination": "/site", "RW": true }]);
    let config = json!({ "Image": "site:1", "Cmd": ["serve"], "Env": ["PASSWORD=se-cret"], "Labels": labels });
    let host = json!({ "RestartPolicy": { "Name": "always", "MaximumRetryCount": 0 }, "NetworkMode": "bridge" });
    let inspect = json!({ "Id": ID, "Name": "/site", "Image": image_id("site:1"), "Config": config, "HostConfig": host, "Mounts": mounts });
    let made = json!({ "Name": "site", "Image": "site:1", "Status": "running", "Labels": labels, "Inspect": inspect,
        "HostConfig": { "Mounts": [{ "Source": "site", "Target": "/site" }] } });
    docker.with(|has| {
        has.images.push("site:1".to_owned());
        has.containers.insert(ID.to_owned(), made);
        let volume = json!({ "Name": "site", "Driver": "local", "Mountpoint": "/x", "Labels": {}, "Scope": "local", "Options": {} });
        has.volumes.insert("site".to_owned(), volume);
        has.held.insert("site".to_owned(), b"all that it keeps".to_vec());
    });
}

async fn ask<T: serde::de::DeserializeOwned>(socket: &Path, request: Request) -> Result<T, Error> {
    broker::ask(socket, &request, |_| ()).await
}

fn hold() -> Request {
    Request::Hold { container: ID.to_owned() }
}

fn move_in() -> Request {
    Request::MoveIn { container: ID.to_owned(), app: "web".to_owned() }
}

fn release() -> Request {
    Request::Release { container: ID.to_owned(), was: Was { up: true, restart: "always".to_owned(), retries: 0 } }
}

/// The old one is there with all that it kept, whatever happened; and Docker was not told to remove it.
fn kept(docker: &Played) {
    docker.with(|has| {
        assert!(has.containers.contains_key(ID) && has.held["site"] == b"all that it keeps", "{has:?}");
        let removed = |change: &&String| change.starts_with("DELETE") && (change.contains(ID) || change.contains("/volumes/site"));
        assert_eq!(has.changes.iter().find(removed), None);
    });
}

fn restart(docker: &Played) -> Value {
    docker.with(|has| has.containers[ID]["Inspect"]["HostConfig"]["RestartPolicy"]["Name"].clone())
}

#[tokio::test]
async fn what_was_made_by_hand_is_listed_without_apps_and_secrets() {
    let (_dir, _options, docker, socket) = with_docker();
    up(&socket, "x").await.unwrap();
    by_hand(&docker, &json!({}));
    let all: ByHand = ask(&socket, Request::ByHand {}).await.unwrap();
    assert_eq!(all.containers.iter().map(|container| container.name.as_str()).collect::<Vec<_>>(), ["site"]);
    assert_eq!(
        all.volumes.iter().map(|volume| (volume.name.as_str(), &volume.used_by[..])).collect::<Vec<_>>(),
        [("site", &["site".to_owned()][..])]
    );
    assert_eq!(all.images.iter().map(|image| &image.tags[..]).collect::<Vec<_>>(), [["site:1".to_owned()]]);
    assert!(!serde_json::to_string(&all).unwrap().contains("se-cret"));
    let taken: Option<Taken> = ask(&socket, Request::LookByHand { container: ID.to_owned() }).await.unwrap();
    assert_eq!(taken.unwrap().not, []);
    // An app's own container is none, and what is no name is asked of nobody.
    let its = docker.with(|has| has.containers.keys().find(|id| *id != ID).cloned().unwrap());
    for other in [its.as_str(), "../x", "", "none"] {
        assert_eq!(ask::<Option<Taken>>(&socket, Request::LookByHand { container: other.to_owned() }).await.unwrap(), None, "{other}");
    }
}

#[tokio::test]
async fn what_a_container_wrote_outside_of_its_volumes_is_said() {
    let (_dir, _options, docker, socket) = with_docker();
    by_hand(&docker, &json!({}));
    let look = async |changed: &[&str]| {
        let changes: Vec<Value> = changed.iter().map(|path| json!({ "Path": path, "Kind": 1 })).collect();
        docker.with(|has| has.containers.get_mut(ID).unwrap()["Changes"] = json!(changes));
        let taken: Option<Taken> = ask(&socket, Request::LookByHand { container: ID.to_owned() }).await.unwrap();
        taken.unwrap().differs.into_iter().find(|line| line.contains("outside of its volumes"))
    };
    let nothing = ["/etc", "/etc/hosts", "/run", "/run/x.pid", "/site", "/tmp", "/tmp/a", "/var", "/var/run"];
    assert_eq!((look(&[]).await, look(&nothing).await), (None, None));
    let said = look(&["/site2", "/var", "/var/lib", "/var/lib/db", "/var/lib/db/\u{202e}x"]).await.unwrap();
    assert!(said.ends_with("alone: `/site2`, `/var/lib/db/x`"), "{said}");
    let many: Vec<String> = (0..9).map(|n| format!("/srv/{n}")).collect();
    let said = look(&many.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
    assert!(said.ends_with("`/srv/4`, and 4 more"), "{said}");
}

#[tokio::test]
async fn what_a_container_keeps_goes_to_its_app_and_the_container_stays() {
    let (_dir, _options, docker, socket) = with_docker();
    by_hand(&docker, &json!({}));
    let runs = ask::<()>(&socket, move_in()).await.unwrap_err().to_string();
    assert!(runs.contains("runs: what it writes"), "{runs}");
    ask::<()>(&socket, hold()).await.unwrap();
    assert_eq!((restart(&docker), docker.with(|has| has.containers[ID]["Status"].clone())), (json!("no"), json!("exited")));
    let order = docker.with(|has| std::mem::take(&mut has.changes));
    assert!(order[0].contains("/stop") && order[1].ends_with("/update"), "{order:?}");
    ask::<()>(&socket, move_in()).await.unwrap();
    docker.with(|has| {
        assert_eq!(has.held["cloudy-web_site"], b"all that it keeps");
        assert_eq!(has.volumes["cloudy-web_site"]["Labels"]["com.docker.compose.volume"], "site");
        assert_eq!(has.containers.len(), 1, "what it went through is gone");
        assert!(!has.changes.iter().any(|change| change.contains("/start")), "{has:?}");
    });
    kept(&docker);
    ask::<()>(&socket, release()).await.unwrap();
    assert_eq!((restart(&docker), docker.with(|has| has.containers[ID]["Status"].clone())), (json!("always"), json!("running")));
    kept(&docker);
}

#[tokio::test]
async fn how_much_a_copy_takes_is_said_before_anything_is_touched() {
    let (dir, _options, docker, socket) = with_docker();
    by_hand(&docker, &json!({}));
    let room = async || ask::<Option<Room>>(&socket, Request::RoomByHand { container: ID.to_owned() }).await;
    assert_eq!(room().await.unwrap(), None, "Docker does not say");
    let root = dir.path().to_str().unwrap().to_owned();
    docker.with(|has| (has.sizes, has.root) = ([("site".to_owned(), 7_000), ("other".to_owned(), 9_000)].into(), root));
    let said = room().await.unwrap().unwrap();
    assert!(said.needed == 7_000 && said.free > 0, "{said:?}");
    docker.with(|has| "/no/such/folder".clone_into(&mut has.root));
    assert_eq!(room().await.unwrap(), None, "the system does not say");
    docker.with(|has| assert_eq!(has.changes, Vec::<String>::new()));
    docker.with(|has| has.containers.clear());
    assert!(room().await.unwrap_err().to_string().contains("not there any more"));
}

#[tokio::test]
async fn a_copy_of_what_was_started_meanwhile_is_not_used() {
    let (_dir, _options, docker, socket) = with_docker();
    by_hand(&docker, &json!({}));
    ask::<()>(&socket, hold()).await.unwrap();
    docker.with(|has| has.meddled = true);
    let torn = ask::<()>(&socket, move_in()).await.unwrap_err().to_string();
    assert!(torn.contains("was started while it was copied"), "{torn}");
    kept(&docker);
    // Done again, with nobody at it, it is whole.
    docker.with(|has| has.meddled = false);
    ask::<()>(&socket, move_in()).await.unwrap();
    docker.with(|has| assert_eq!(has.held["cloudy-web_site"], b"all that it keeps"));
}

#[tokio::test]
async fn nothing_of_an_app_or_of_somebody_else_is_written_over_or_held() {
    let (_dir, _options, docker, socket) = with_docker();
    by_hand(&docker, &json!({ "com.docker.compose.project": "blog" }));
    let part = ask::<()>(&socket, hold()).await.unwrap_err().to_string();
    assert!(part.contains("save its compose file") && docker.with(|has| has.changes.is_empty()), "{part}");
    by_hand(&docker, &json!({ "com.docker.compose.project": "cloudy-wiki" }));
    assert!(ask::<()>(&socket, hold()).await.is_err() && docker.with(|has| has.changes.is_empty()));
    by_hand(&docker, &json!({}));
    ask::<()>(&socket, hold()).await.unwrap();
    // A volume of that name that is not the app's.
    docker.with(|has| {
        let volume =
            json!({ "Name": "cloudy-web_site", "Driver": "local", "Mountpoint": "/x", "Labels": {}, "Scope": "local", "Options": {} });
        has.volumes.insert("cloudy-web_site".to_owned(), volume);
    });
    assert!(ask::<()>(&socket, move_in()).await.unwrap_err().to_string().contains("was not made for this app"));
    docker.with(|has| has.volumes.remove("cloudy-web_site"));
    // An app that is here.
    let its = json!({ "com.docker.compose.project": "cloudy-web" });
    docker.with(|has| has.containers.insert("app".to_owned(), json!({ "Name": "cloudy-web-app-1", "Status": "exited", "Labels": its })));
    assert!(ask::<()>(&socket, move_in()).await.unwrap_err().to_string().contains("is not written over"));
    kept(&docker);
}

#[tokio::test]
async fn cut_at_any_change_the_old_one_is_there_and_a_second_try_ends_the_same() {
    for at in 1..=7 {
        for done in [false, true] {
            let (_dir, _options, docker, socket) = with_docker();
            by_hand(&docker, &json!({}));
            docker.with(|has| has.cut = Some(Cut { at, done }));
            let first = async {
                ask::<()>(&socket, hold()).await?;
                ask::<()>(&socket, move_in()).await
            };
            let cut = first.await;
            docker.with(|has| has.cut = None);
            let asked = docker.with(|has| has.changes.len());
            assert!(cut.is_err() || asked < at, "cut at {at} of {asked}");
            kept(&docker);
            ask::<()>(&socket, hold()).await.unwrap();
            ask::<()>(&socket, move_in()).await.unwrap();
            docker.with(|has| {
                assert_eq!((&has.held["cloudy-web_site"][..], has.containers.len()), (&b"all that it keeps"[..], 1), "{at} {done}")
            });
            kept(&docker);
            ask::<()>(&socket, release()).await.unwrap();
            assert_eq!(restart(&docker), json!("always"));
        }
    }
}

#[tokio::test]
async fn only_what_nothing_uses_is_taken_away_and_docker_is_not_forced() {
    let (_dir, _options, docker, socket) = with_docker();
    up(&socket, "x").await.unwrap();
    by_hand(&docker, &json!({}));
    docker.with(|has| has.changes.clear());
    let clear = |thing: Thing| Request::ClearByHand { thing };
    let (volume, image) = (Thing::Volume("site".to_owned()), Thing::Image(image_id("site:1")));
    let its = docker.with(|has| has.containers.keys().find(|id| *id != ID).cloned().unwrap());
    let its_volume = docker.with(|has| has.volumes.keys().find(|name| *name != "site").cloned().unwrap());
    for (thing, why) in [
        (Thing::Container(ID.to_owned()), "stop it first"),
        (volume.clone(), "used by site"),
        (image.clone(), "used by site"),
        (Thing::Container(its), "no container"),
        (Thing::Volume(its_volume), "no volume"),
        (Thing::Image("sha256:x".to_owned()), "no image"),
    ] {
        let said = ask::<()>(&socket, clear(thing)).await.unwrap_err().to_string();
        assert!(said.contains(why) && docker.with(|has| has.changes.is_empty()), "{said}");
    }
    ask::<()>(&socket, hold()).await.unwrap();
    docker.with(|has| has.changes.clear());
    ask::<()>(&socket, clear(Thing::Container(ID.to_owned()))).await.unwrap();
    docker.with(|has| assert!(has.volumes.contains_key("site") && !has.containers.contains_key(ID)));
    ask::<()>(&socket, clear(image)).await.unwrap();
    ask::<()>(&socket, clear(volume)).await.unwrap();
    docker.with(|has| {
        assert!(!has.volumes.contains_key("site") && !has.images.contains(&"site:1".to_owned()));
        assert!(!has.changes.iter().any(|change| change.contains("force=true") || change.contains("v=true")), "{has:?}");
    });
}
