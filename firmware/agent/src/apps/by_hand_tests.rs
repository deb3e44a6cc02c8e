//! Containers that become apps, against a broker that is played: who is refused, what is asked of the broker in which order, and that the
//! old one is put back.

use super::super::tests::{Played, over};
use super::*;
use contract::apps::own::{Form, FormPort};
use serde_json::json;

const ID: &str = "00000000000000000000000000000000000000000000000000000000000000ab";

/// A container that runs and can be taken over.
fn taken() -> Taken {
    let form =
        Form { image: "site:1".to_owned(), environment: [("PASSWORD".to_owned(), Some("se-cret".to_owned()))].into(), ..Form::default() };
    let was = broker::Was { up: true, restart: "always".to_owned(), retries: 0 };
    Taken { id: ID.to_owned(), name: "site".to_owned(), form, was, ..Taken::default() }
}

/// A volume that is copied.
fn carried() -> broker::Carried {
    broker::Carried { from: "site".to_owned(), target: "/site".to_owned(), to: "site".to_owned() }
}

fn found(played: &Played, taken: &Taken) {
    played.answer("look-by-hand", json!({ "done": taken }));
}

fn named(name: &str) -> AdoptWish {
    AdoptWish { name: name.to_owned(), ..AdoptWish::default() }
}

async fn listed(played: &Played, apps: &Apps) -> Option<String> {
    let all = json!({ "containers": [{ "id": ID, "name": "site", "image": "", "state": "exited", "ports": [], "mounts": [], "project": null, "stays": null }],
        "images": [], "volumes": [], "more": false });
    played.answer("by-hand", json!({ "done": all }));
    apps.by_hand().await.unwrap().containers[0].adopted.clone()
}

#[tokio::test]
async fn a_container_becomes_an_app_and_is_removed_only_after_that() {
    let mut played = Played::start();
    let apps = played.apps();
    let clear = || apps.clear_by_hand(Thing::Container(ID.to_owned()));
    assert!(matches!(clear().await, Err(Refused::NotAdopted(_))));
    found(&played, &taken());
    let view = apps.look_by_hand("site").await.unwrap();
    assert_eq!((view.proposed.as_str(), &view.environment[..]), ("site", &["PASSWORD".to_owned()][..]));
    assert!(!serde_json::to_string(&view).unwrap().contains("se-cret"));
    found(&played, &taken());
    let job = apps.adopt("site", named("radio")).await.unwrap();
    assert!(matches!(clear().await, Err(Refused::Busy { .. })), "it is not removed while it is taken over");
    let job = over(&apps, job.id).await;
    assert_eq!((job.state.as_str(), job.steps), ("done", 4), "{job:?}");
    assert_eq!(played.words(), ["look-by-hand", "look-by-hand", "hold", "move-in", "up-own"], "held first, then copied, then started");
    assert_eq!(listed(&played, &apps).await.as_deref(), Some("radio"));
    found(&played, &taken());
    assert!(matches!(apps.adopt("site", named("other")).await, Err(Refused::Adopted { .. })));
    clear().await.unwrap();
    assert_eq!(played.words(), ["by-hand", "look-by-hand", "clear-by-hand"]);
    assert!(matches!(clear().await, Err(Refused::NotAdopted(_))));
    assert!(apps.own_details("radio").unwrap().view.by_hand.is_none());
    // It is an app like any other now.
    assert!(apps.kept().apps.contains_key("radio"));
}

#[tokio::test]
async fn the_old_one_is_not_removed_once_its_app_is_gone_or_while_a_job_is_at_work_on_that() {
    let mut played = Played::start();
    let apps = played.apps();
    found(&played, &taken());
    let job = apps.adopt("site", named("radio")).await.unwrap();
    assert_eq!(over(&apps, job.id).await.state, "done");
    let clear = || apps.clear_by_hand(Thing::Container(ID.to_owned()));
    let job = apps.remove("radio", true, &Expected::anything()).unwrap();
    let why = clear().await.unwrap_err();
    assert!(matches!(why, Refused::Busy { .. }), "{why}");
    assert_eq!(over(&apps, job.id).await.state, "done");
    let why = clear().await.unwrap_err();
    assert!(matches!(why, Refused::NotAdopted(_)), "{why}");
    assert!(!played.words().contains(&"clear-by-hand".to_owned()));
}

#[tokio::test]
async fn what_does_not_run_is_taken_away_and_the_old_one_put_back() {
    for fails in ["hold", "move-in", "up-own"] {
        let mut played = Played::start();
        let apps = played.apps();
        found(&played, &taken());
        played.answer(fails, json!({ "failed": { "error": "no", "output": "" } }));
        let job = apps.adopt("site", named("radio")).await.unwrap();
        let job = over(&apps, job.id).await;
        assert_eq!((job.state.as_str(), job.reason.as_deref()), ("undone", Some("no")), "{fails}: {job:?}");
        let words = played.words();
        assert_eq!(words[words.len() - 2..], ["down", "release"], "the new one goes before the old one comes: {words:?}");
        assert!(apps.kept().apps.is_empty() && listed(&played, &apps).await.is_none());
    }
}

#[tokio::test]
async fn where_a_copy_does_not_fit_nothing_is_touched_and_it_is_said_how_much_is_lacking() {
    let mut played = Played::start();
    let apps = played.apps();
    let keeps = Taken { carried: vec![carried()], ..taken() };
    let spare = crate::limits::CATALOG_SPARE_BYTES;
    found(&played, &keeps);
    played.answer("room-by-hand", json!({ "done": { "needed": 5_000_000, "free": spare + 4_999_999 } }));
    let why = apps.adopt("site", named("radio")).await.unwrap_err();
    assert!(matches!(why, Refused::NoRoom { .. }), "{why}");
    let words = why.to_string();
    assert!(
        ["`site`", "5000000 bytes are needed", &format!("{} are free", spare + 4_999_999), "remove what"]
            .iter()
            .all(|said| words.contains(said)),
        "{words}"
    );
    assert_eq!(played.words(), ["look-by-hand", "room-by-hand"], "it was not held");
    assert!(apps.own_details("radio").is_none() && apps.jobs().is_empty(), "nothing is saved and no job begun");
    // Just so much is enough, and so is what nobody could count: the job puts all back if it does not fit.
    for room in [json!({ "needed": 5_000_000, "free": spare + 5_000_000 }), json!(null)] {
        let mut played = Played::start();
        let apps = played.apps();
        found(&played, &keeps);
        played.answer("room-by-hand", json!({ "done": room }));
        let job = apps.adopt("site", named("radio")).await.unwrap();
        assert_eq!(over(&apps, job.id).await.state, "done");
        assert_eq!(played.words(), ["look-by-hand", "room-by-hand", "hold", "move-in", "up-own"]);
    }
}

#[tokio::test]
async fn one_that_ends_soon_after_it_was_started_is_not_well() {
    let mut played = Played::start();
    let apps = played.apps();
    found(&played, &taken());
    for _ in 0..2 {
        played.answer("projects-up", json!({ "done": { "radio": { "run": "failing", "data": true } } }));
    }
    let job = apps.adopt("site", named("radio")).await.unwrap();
    let job = over(&apps, job.id).await;
    assert_eq!(job.state, "undone", "{job:?}");
    assert!(job.reason.unwrap().contains("did not go on running") && played.words().ends_with(&["down".to_owned(), "release".to_owned()]));
}

#[tokio::test]
async fn of_two_who_ask_for_the_same_container_or_name_one_is_refused() {
    for (one, other) in [(ID, ID), (ID, &"c".repeat(64))] {
        let played = Played::start();
        let apps = played.apps();
        found(&played, &taken());
        found(&played, &Taken { id: other.to_owned(), ..taken() });
        let name = if one == other { "other" } else { "radio" };
        let (first, second) = tokio::join!(apps.adopt("site", named("radio")), apps.adopt("site", named(name)));
        assert!(first.is_ok() && matches!(second, Err(Refused::Busy { .. })), "{second:?}");
        over(&apps, first.unwrap().id).await;
    }
}

#[tokio::test]
async fn what_reaches_outside_waits_for_an_owner_and_what_can_t_be_taken_over_is_left() {
    let mut played = Played::start();
    let apps = played.apps();
    let mut asks = taken();
    asks.form.privileged = true;
    found(&played, &asks);
    let why = apps.adopt("site", named("radio")).await.unwrap_err();
    assert!(matches!(&why, Refused::NotGranted(why) if why.contains("`privileged`")), "{why}");
    assert_eq!(played.words(), ["look-by-hand"], "nothing was touched");
    let saved = apps.own_details("radio").unwrap();
    assert_eq!((saved.view.by_hand.as_deref(), saved.view.asked.len()), (Some(ID), 1));
    apps.grant_own("radio", ["privileged".parse().unwrap()].into(), "ana").unwrap();
    found(&played, &asks);
    let job = apps.adopt("site", AdoptWish { title: Some("Other".to_owned()), ..named("radio") }).await.unwrap();
    assert_eq!(over(&apps, job.id).await.state, "done");
    // Another container does not get what that one was granted.
    let other = Taken { id: "c".repeat(64), form: Form { image: "evil:1".to_owned(), ..asks.form.clone() }, ..asks.clone() };
    found(&played, &other);
    assert!(apps.adopt("site", named("radio")).await.is_err());
    played.words();
    let fault = NotTaken { what: "Tmpfs".to_owned(), why: "a form can't say it".to_owned() };
    found(&played, &Taken { not: vec![fault], ..other });
    let why = apps.adopt("site", named("web")).await.unwrap_err().to_string();
    assert!(why.contains("`Tmpfs`: a form can't say it") && apps.own_details("web").is_none(), "{why}");
    assert_eq!(played.words(), ["look-by-hand"]);
}

#[tokio::test]
async fn the_old_one_s_ports_are_free_once_it_stands_still_and_nobody_else_s_are() {
    let played = Played::start();
    let apps = played.apps();
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut publishes = taken();
    let its = FormPort { container: 80, proposed: Some(port), protocol: Default::default(), scheme: None };
    publishes.form.ports = vec![its];
    // It stands still, so somebody else listens there.
    publishes.was.up = false;
    found(&played, &publishes);
    assert!(matches!(apps.adopt("site", named("radio")).await, Err(Refused::Port(_))));
    publishes.was.up = true;
    apps.keep_port(port, "the node's own");
    found(&played, &publishes);
    assert!(matches!(apps.adopt("site", named("radio")).await, Err(Refused::Port(_))));
    apps.own_ports.lock().unwrap().clear();
    found(&played, &publishes);
    let job = apps.adopt("site", named("radio")).await.unwrap();
    assert_eq!(over(&apps, job.id).await.state, "done");
    assert_eq!(apps.kept().apps["radio"].choices.ports.values().collect::<Vec<_>>(), [&port]);
}

#[test]
fn an_app_is_called_like_its_container() {
    for (container, app) in
        [("site", "site"), ("My_Site.1", "my-site-1"), ("9lives", "lives"), ("--", ""), (&"x".repeat(50), &"x".repeat(33))]
    {
        assert_eq!(proposed(container), app);
        assert!(app.is_empty() || contract::apps::is_name(app), "{app}");
    }
}
