//! Backups against a broker that is played: which steps they take, what is kept of a key, and what is undone.

use super::super::tests::{Played, over, wish};
use super::super::{Apps, JobView, Refused};
use super::*;
use crate::blobs::Visibility;
use futures_util::StreamExt;
use hyper::body::Bytes;
use serde_json::{Value, json};
use std::sync::Arc;

const HELD: &[u8] = b"the tar of a volume";

/// A node with an app, a key, and a backup of that app.
async fn backed_up() -> (Played, Arc<Apps>, NewKey, JobView) {
    let mut played = Played::start();
    *played.volume.lock().unwrap() = HELD.to_vec();
    let apps = played.with_app();
    let job = apps.install("broker", wish()).unwrap();
    assert_eq!(over(&apps, job.id).await.state, "done");
    assert!(matches!(apps.back_up("broker", BackupWish::default()), Err(Refused::NoBackupKey)));
    let key = apps.backup_key().make().unwrap();
    played.words();
    let job = apps.back_up("broker", BackupWish::default()).unwrap();
    let job = over(&apps, job.id).await;
    assert_eq!((job.state.as_str(), job.reason.as_deref()), ("done", None));
    assert_eq!(played.words(), ["stop", "volumes", "read-volume", "up"]);
    (played, apps, key, job)
}

async fn content(apps: &Apps, hash: &str) -> Vec<u8> {
    let size = apps.blobs.one(hash).unwrap().facts.size_bytes;
    let mut stream = apps.blobs.read(hash, 0..size).await.unwrap();
    let mut all = Vec::new();
    while let Some(piece) = stream.next().await {
        all.extend_from_slice(&piece.unwrap());
    }
    all
}

/// Brings a file to a node.
async fn bring(apps: &Apps, name: &str, bytes: Vec<u8>) -> String {
    let wish =
        crate::blobs::Wish { name: name.to_owned(), media_type: String::new(), visibility: Visibility::Private, pinned: true, app: None };
    let body = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes))]);
    apps.blobs.add(wish, body).await.unwrap().hash
}

fn with(key: &str) -> RestoreWish {
    RestoreWish { secret: key.to_owned() }
}

fn file(apps: &Apps) -> String {
    std::fs::read_to_string(&apps.file).unwrap()
}

#[tokio::test]
async fn a_backup_is_restored_on_another_node_by_who_has_the_key() {
    let (_first, apps, key, job) = backed_up().await;
    let hash = job.backup.unwrap();
    let found = apps.backups(&apps.blobs, None, Default::default()).await.unwrap().0;
    assert!(found.len() == 1 && found[0].here && !found[0].shared && found[0].name.starts_with("broker-"), "{found:?}");
    let backup = content(&apps, &hash).await;
    // Neither the volume nor a password can be read in it.
    for secret in [HELD, b"se-cret"] {
        assert!(!backup.windows(secret.len()).any(|some| some == secret));
    }
    assert!(matches!(apps.restore(&hash, with(&key.secret)).await, Err(Refused::InTheWay(_))), "it is installed here");

    let mut other = Played::start();
    let new = other.with_app();
    let hash = bring(&new, "some file", backup).await;
    let wrong = age::x25519::Identity::generate();
    let wrong = age::secrecy::ExposeSecret::expose_secret(&wrong.to_string()).to_owned();
    let refused = new.restore(&hash, with(&wrong)).await.unwrap_err().to_string();
    assert!(refused.contains("for another key"), "{refused}");
    assert!(matches!(new.restore(&hash, with("password")).await, Err(Refused::NoSecretKey)));
    assert!(matches!(new.restore(&"0".repeat(64), with(&key.secret)).await, Err(Refused::Blob(_))));
    assert!(new.jobs().is_empty() && other.words().is_empty());
    let job = new.restore(&hash, with(&key.secret)).await.unwrap();
    let job = over(&new, job.id).await;
    assert_eq!((job.state.as_str(), job.reason.as_deref()), ("done", None));
    assert_eq!(other.words(), ["pull", "create", "write-volume", "up"]);
    assert_eq!(*other.volume.lock().unwrap(), HELD);
    assert_eq!(new.settings("broker").unwrap().0, apps.settings("broker").unwrap().0);
    assert!(file(&new).contains("se-cret") && !file(&new).contains("opener"), "what opened it is forgotten with the job");
}

#[tokio::test]
async fn of_the_key_nothing_is_kept_that_opens_another_backup_and_a_killed_restore_goes_on() {
    let (_first, apps, key, job) = backed_up().await;
    let backup = content(&apps, job.backup.as_ref().unwrap()).await;
    let mut other = Played::start();
    let new = other.with_app();
    let hash = bring(&new, "x", backup).await;
    other.answer("create", json!({ "failed": { "error": "no room", "output": "" } }));
    let job = new.restore(&hash, with(&key.secret)).await.unwrap();
    assert!(!file(&new).contains(&key.secret) && file(&new).contains("opener"));
    let kept = file(&new);
    let job = over(&new, job.id).await;
    assert_eq!((job.state.as_str(), job.reason.as_deref()), ("undone", Some("no room")));
    assert_eq!(other.words(), ["pull", "create", "down"]);
    assert!(new.list().await.is_empty());
    // As it was on disk when volumes were to be filled.
    let mut kept: Value = serde_json::from_str(&kept).unwrap();
    let before = json!({ "up": false, "data": false });
    kept["jobs"][0]["course"] = json!({ "kind": "restore", "before": before, "state": "forward", "done": 3, "lost": 0 });
    std::fs::write(&new.file, kept.to_string()).unwrap();
    new.blobs.close().await;
    let again = other.apps();
    again.resume();
    let job = over(&again, job.id).await;
    assert_eq!((job.state.as_str(), job.reason.as_deref()), ("done", None));
    assert_eq!(other.words(), ["write-volume", "up"]);
    assert_eq!(*other.volume.lock().unwrap(), HELD);
}

#[tokio::test]
async fn what_is_damaged_is_noticed_before_anything_is_made_of_it() {
    let (first, apps, key, _) = backed_up().await;
    // What can't be packed, and is longer than what is authenticated at once: its beginning can be read though its end is gone.
    let mut n = 7_u32;
    let noise = |_| {
        n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        u8::try_from(n >> 24).unwrap()
    };
    *first.volume.lock().unwrap() = (0..200_000).map(noise).collect();
    let job = apps.back_up("broker", BackupWish::default()).unwrap();
    let mut backup = content(&apps, &over(&apps, job.id).await.backup.unwrap()).await;
    assert!(backup.len() > 200_000);
    let mut other = Played::start();
    let new = other.with_app();
    backup.truncate(backup.len() - 100);
    let hash = bring(&new, "x", backup).await;
    let job = new.restore(&hash, with(&key.secret)).await.unwrap();
    let job = over(&new, job.id).await;
    assert!(job.state == "undone" && job.reason.as_deref().unwrap().contains("the backup is damaged"), "{job:?}");
    assert_eq!(other.words(), ["down"], "nothing was made of it");
}

#[tokio::test]
async fn a_volume_that_can_t_be_read_makes_no_backup_and_the_app_runs_again() {
    let (mut played, apps, ..) = backed_up().await;
    let count = apps.backups(&apps.blobs, None, Default::default()).await.unwrap().0.len();
    let failed = json!({ "failed": { "error": "the disk is ill", "output": "" } });
    for word in ["read-volume", "read-end", "volumes"] {
        played.answer(word, failed.clone());
        let job = apps.back_up("broker", BackupWish { shared: false }).unwrap();
        let job = over(&apps, job.id).await;
        assert_eq!((job.state.as_str(), job.backup.as_deref()), ("undone", None), "{word}");
        assert!(job.reason.as_deref().unwrap().contains("the disk is ill"), "{word}: {:?}", job.reason);
        assert_eq!(played.words().last().map(String::as_str), Some("up"), "{word}");
    }
    assert_eq!(apps.backups(&apps.blobs, None, Default::default()).await.unwrap().0.len(), count);
}

#[tokio::test]
async fn an_app_that_needs_a_second_try_to_run_again_has_its_backup() {
    let (mut played, apps, ..) = backed_up().await;
    let no = |why: &str| json!({ "failed": { "error": why, "output": "" } });
    played.answer("up", no("slow today"));
    let job = apps.back_up("broker", BackupWish::default()).unwrap();
    let job = over(&apps, job.id).await;
    assert!(job.state == "done" && job.backup.is_some(), "{job:?}");
    assert_eq!(played.words(), ["stop", "volumes", "read-volume", "up", "up"]);
    // One that does not run again at all is said, with the backup that was made.
    (0..4).for_each(|_| played.answer("up", no("broken")));
    let job = apps.back_up("broker", BackupWish::default()).unwrap();
    let job = over(&apps, job.id).await;
    assert!(job.state == "failed" && job.backup.is_some(), "{job:?}");
}

#[tokio::test]
async fn a_backup_grants_nothing() {
    let (mut played, apps, key, _) = backed_up().await;
    let asks = "services: { app: { image: x:1, volumes: [\"/srv/music:/m:ro\", \"data:/data\"] } }\nvolumes: { data: {} }";
    let definition = contract::apps::own::Definition { title: "Radio".to_owned(), compose: Some(asks.to_owned()), ..Default::default() };
    apps.save_own("radio", definition.clone(), true).unwrap();
    apps.grant_own("radio", ["host-path-read=/srv/music".parse().unwrap()].into(), "ana").unwrap();
    let job = apps.install("radio", super::super::Wish::default()).unwrap();
    assert_eq!(over(&apps, job.id).await.state, "done");
    let job = apps.back_up("radio", BackupWish::default()).unwrap();
    let hash = over(&apps, job.id).await.backup.unwrap();
    let mut other = Played::start();
    let new = other.apps();
    let hash = bring(&new, "x", content(&apps, &hash).await).await;
    let refused = new.restore(&hash, with(&key.secret)).await.unwrap_err();
    assert!(matches!(&refused, Refused::NotGranted(why) if why.contains("host-path-read=/srv/music")), "{refused}");
    assert!(other.words().is_empty());
    // It was saved, so that an owner can grant it; then it is restored.
    new.grant_own("radio", ["host-path-read=/srv/music".parse().unwrap()].into(), "ana").unwrap();
    let job = new.restore(&hash, with(&key.secret)).await.unwrap();
    assert_eq!(over(&new, job.id).await.state, "done");
    assert_eq!(other.words(), ["pull-own", "create-own", "write-volume", "up-own"]);
    // Another app under that name is not put over.
    new.save_own("radio", contract::apps::own::Definition { title: "Other".to_owned(), ..definition }, false).unwrap();
    let _removed = over(&new, new.remove("radio", true, &crate::revision::Expected::anything()).unwrap().id).await;
    assert!(matches!(new.restore(&hash, with(&key.secret)).await, Err(Refused::NotSaved(_))));
    played.words();
}
