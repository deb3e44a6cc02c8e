//! What is taken of catalogs and what is not, with what is kept on the disk; between nodes it is done in `tests/catalogs.rs`.

use super::*;
use crate::apps::AppSource;
use crate::blobs::Taking;
use cluster::catalog::{Build, Contents, Listed, Words};
use cluster::keys::Key;

const SEED: [u8; 32] = [7; 32];

fn words(text: &str) -> Words {
    Words { en: text.to_owned(), es: text.to_owned(), ca: text.to_owned() }
}

fn contents(number: u64, title: &str) -> Contents {
    let build = |machine: &str| Build { machine: machine.to_owned(), hash: [3; 32], size_bytes: 10 };
    let app = Listed {
        name: "broker".to_owned(),
        index: [9; 32],
        category: "messages".to_owned(),
        title: words("Broker"),
        description: words("A broker."),
        builds: ["amd64", "arm64", "armhf"].map(build).into(),
    };
    Contents { name: "gracia".to_owned(), title: words(title), number, revoked: false, apps: vec![app] }
}

fn file(seed: &[u8; 32], number: u64, title: &str) -> Vec<u8> {
    Catalog::sign(seed, contents(number, title)).unwrap().to_bytes()
}

fn key() -> String {
    Key::of_seed(&SEED).hex()
}

fn open(data: &Path) -> Arc<Catalogs> {
    let blobs = Arc::new(Blobs::load(data, true));
    let registry = ([127, 0, 0, 1], 4748).into();
    let apps = Arc::new(Apps::open(data, data.join("broker.sock"), Arc::clone(&blobs), Arc::default(), &[], registry));
    Arc::new(Catalogs::open(data, apps, blobs, None))
}

async fn number(catalogs: &Catalogs) -> Option<u64> {
    catalogs.info(&key()).await?.number
}

#[tokio::test]
async fn only_what_the_followed_key_signed_with_a_higher_number_is_taken() {
    let data = tempfile::tempdir().unwrap();
    let catalogs = open(data.path());
    assert!(matches!(catalogs.take(file(&SEED, 2, "two"), Some(&key())).await, Err(Refused::NotFollowed(_))), "nobody follows it");
    catalogs.follow(&key()).await.unwrap();
    let other = catalogs.take(file(&[8; 32], 2, "two"), Some(&key())).await;
    assert!(matches!(other, Err(Refused::OtherKey { .. })) && number(&catalogs).await.is_none());
    assert!(catalogs.take(file(&SEED, 2, "two"), Some(&key())).await.unwrap());
    assert!(!catalogs.take(file(&SEED, 2, "two"), Some(&key())).await.unwrap(), "it is here");
    assert!(matches!(catalogs.take(file(&SEED, 1, "one"), None).await, Err(Refused::Older { had: 2, shown: 1 })));
    assert!(matches!(catalogs.take(file(&SEED, 2, "other"), None).await, Err(Refused::Fork(2))));
    let info = catalogs.info(&key()).await.unwrap();
    assert!(info.fork && info.refused && info.title["en"] == "two" && info.number == Some(2));
    // All of it holds after a restart, and although the file is lost.
    for damage in [false, true] {
        if damage {
            std::fs::write(data.path().join(FOLDER).join(file_of(&key())), b"x").unwrap();
        }
        let again = open(data.path());
        assert_eq!((again.catalog(&key()).is_none(), number(&again).await), (damage, Some(2)));
        assert!(matches!(again.take(file(&SEED, 1, "one"), None).await, Err(Refused::Older { .. })));
    }
    let again = open(data.path());
    assert!(again.take(file(&SEED, 2, "two"), Some(&key())).await.unwrap(), "the same again, where its file is lost");
    // Nothing more is taken of it, nor an app, until an owner decides; a third of that number changes nothing.
    for brought in [Some(key()), None] {
        assert!(matches!(again.take(file(&SEED, 3, "three"), brought.as_deref()).await, Err(Refused::Fork(2))));
        assert!(matches!(again.take(file(&SEED, 2, "third"), brought.as_deref()).await, Err(Refused::Fork(2))));
    }
    assert!(matches!(again.get(&key(), "broker", &GetWish::default()).await, Err(Refused::Fork(2))));
    let decided = again.follow(&key()).await.unwrap();
    assert!(decided.fork && !decided.refused);
    assert!(matches!(again.take(file(&SEED, 2, "third"), Some(&key())).await, Err(Refused::Fork(2))));
    assert!(!again.info(&key()).await.unwrap().refused, "of that number all is decided");
    assert!(again.take(file(&SEED, 3, "three"), Some(&key())).await.unwrap());
    assert!(!again.info(&key()).await.unwrap().fork, "a newer one ends it");
    assert!(matches!(again.take(file(&SEED, 3, "forked"), Some(&key())).await, Err(Refused::Fork(3))));
    assert!(again.info(&key()).await.unwrap().refused, "and another number is to be decided anew");
    again.follow(&key()).await.unwrap();
    // A file that is newer than what is said was taken just before the agent ended; one that is older is not believed.
    for (put, is_here, then) in [(4, true, Some(4)), (2, false, Some(3))] {
        std::fs::write(data.path().join(FOLDER).join(file_of(&key())), file(&SEED, put, "put")).unwrap();
        let again = open(data.path());
        assert_eq!((again.catalog(&key()).is_some(), number(&again).await), (is_here, then));
    }
}

#[tokio::test]
async fn a_key_that_was_given_up_is_not_believed_any_more() {
    let data = tempfile::tempdir().unwrap();
    let catalogs = open(data.path());
    catalogs.add(file(&SEED, 5, "five")).await.unwrap();
    let end = Contents { revoked: true, number: 1, apps: Vec::new(), ..contents(1, "end") };
    assert!(catalogs.take(Catalog::sign(&SEED, end).unwrap().to_bytes(), Some(&key())).await.unwrap());
    for catalogs in [catalogs, open(data.path())] {
        assert!(matches!(catalogs.take(file(&SEED, 6, "six"), Some(&key())).await, Err(Refused::Revoked)));
        assert!(catalogs.info(&key()).await.unwrap().revoked && catalogs.offers(&key()).is_empty());
    }
}

#[tokio::test]
async fn there_is_an_end_to_what_is_followed_and_what_is_left_is_gone() {
    let data = tempfile::tempdir().unwrap();
    let catalogs = open(data.path());
    for number in 0..CATALOGS_FOLLOWED {
        catalogs.follow(&format!("{number:064x}")).await.unwrap();
    }
    assert!(matches!(catalogs.follow(&key()).await, Err(Refused::TooMany)));
    assert!(matches!(catalogs.add(file(&SEED, 1, "one")).await, Err(Refused::TooMany)));
    catalogs.unfollow(&format!("{:064x}", 0)).await.unwrap();
    assert!(matches!(catalogs.unfollow(&format!("{:064x}", 0)).await, Err(Refused::NotFollowed(_))));
    catalogs.add(file(&SEED, 1, "one")).await.unwrap();
    catalogs.unfollow(&key()).await.unwrap();
    assert!(open(data.path()).info(&key()).await.is_none() && !data.path().join(FOLDER).join(file_of(&key())).exists());
    for wrong in ["", "x", &key().to_uppercase(), "../../x"] {
        assert!(matches!(catalogs.follow(wrong).await, Err(Refused::NoKey(_))), "{wrong}");
    }
}

#[tokio::test]
async fn of_apps_that_are_on_their_way_one_at_a_time_has_a_name() {
    let data = tempfile::tempdir().unwrap();
    let catalogs = open(data.path());
    catalogs.add(file(&SEED, 1, "one")).await.unwrap();
    catalogs.add(file(&[8; 32], 1, "two")).await.unwrap();
    let other = Key::of_seed(&[8; 32]).hex();
    let wish = GetWish { install: false, replace: true };
    catalogs.get(&key(), "broker", &wish).await.unwrap();
    assert!(catalogs.offers(&key())[0].coming && !catalogs.offers(&other)[0].coming);
    assert!(matches!(catalogs.get(&other, "broker", &wish).await, Err(Refused::Coming(_))));
    assert!(matches!(catalogs.get(&key(), "wiki", &wish).await, Err(Refused::NoApp(_))));
    // Who follows it no more waits for nothing of it.
    catalogs.unfollow(&key()).await.unwrap();
    catalogs.get(&other, "broker", &wish).await.unwrap();
    catalogs.blobs.close().await;
}

#[tokio::test]
async fn what_was_asked_for_meanwhile_is_not_taken_for_what_was_looked_at() {
    let data = tempfile::tempdir().unwrap();
    let catalogs = open(data.path());
    let publication = |number: u64| {
        let mut contents = contents(number, "one");
        let hash = u8::try_from(number).unwrap();
        contents.apps[0].index = [hash; 32];
        contents.apps[0].builds.iter_mut().for_each(|build| build.hash = [hash; 32]);
        Catalog::sign(&SEED, contents).unwrap().to_bytes()
    };
    catalogs.add(publication(1)).await.unwrap();
    catalogs.get(&key(), "broker", &GetWish::default()).await.unwrap();
    let looked_at = catalogs.kept().wanted["broker"].clone();
    catalogs.add(publication(2)).await.unwrap();
    let newer = catalogs.get(&key(), "broker", &GetWish { install: true, replace: false }).await.unwrap();
    // The first one comes no more, and whoever looked at it then decides nothing about the second.
    assert!(catalogs.see_to("broker", &looked_at).await.unwrap(), "it is on its way");
    let wanted = catalogs.kept().wanted["broker"].clone();
    assert_eq!((wanted.hash.as_str(), wanted.install), (newer.hash.as_str(), true));
    assert!(catalogs.offers(&key())[0].coming && catalogs.offers(&key())[0].problem.is_none());
    // Nor does anybody look between its being noted and its being begun.
    let one = catalogs.getting.lock().await;
    assert!(futures_util::FutureExt::now_or_never(catalogs.see_to("broker", &wanted)).is_none());
    drop(one);
    assert!(catalogs.see_to("broker", &wanted).await.unwrap());
    catalogs.blobs.close().await;
}

#[tokio::test]
async fn a_secret_key_is_for_nobody_else_to_read_and_comes_back_by_its_text() {
    let (data, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let catalogs = open(data.path());
    let wish = |title: &str| PublishWish { title: [("en".to_owned(), title.to_owned())].into(), apps: Some(Vec::new()) };
    assert!(matches!(catalogs.publish("../x", wish("x")).await, Err(Refused::Publishing(_))));
    assert!(matches!(catalogs.publish("gracia", PublishWish::default()).await, Err(Refused::Publishing(_))));
    assert!(!data.path().join(FOLDER).join("keys.json").exists(), "nothing stays of what was refused");
    let first = catalogs.publish("gracia", wish("Neighbours")).await.unwrap();
    let second = catalogs.publish("gracia", PublishWish::default()).await.unwrap();
    assert_eq!((first.number, second.number, second.mine.as_deref()), (Some(1), Some(2), Some("gracia")));
    assert_eq!((first.key.as_str(), second.title["ca"].as_str()), (second.key.as_str(), "Neighbours"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&data.path().join(FOLDER).join("keys.json").metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let saved = catalogs.saved_key("gracia").unwrap();
    let other = open(elsewhere.path());
    assert!(matches!(other.bring_key("else", &saved).await, Err(Refused::Publishing(_))));
    assert!(matches!(other.bring_key("gracia", &SavedKey { secret: "x".to_owned() }).await, Err(Refused::NoSecret(_))));
    assert_eq!(other.bring_key("gracia", &saved).await.unwrap().key, first.key);
    assert!(matches!(other.saved_key("else"), Err(Refused::NotMine(_))));
    other.publish("gracia", wish("Others")).await.unwrap();
    assert!(matches!(other.bring_key("gracia", &saved).await, Ok(info) if info.number == Some(1)));
    let ended = catalogs.give_up("gracia").await.unwrap();
    assert!(ended.revoked && ended.mine.is_none() && matches!(catalogs.saved_key("gracia"), Err(Refused::NotMine(_))));
    assert!(catalogs.publish("gracia", wish("Anew")).await.unwrap().key != first.key, "the name is free for a new key");
    other.blobs.close().await;
    catalogs.blobs.close().await;
}

#[tokio::test]
async fn what_an_owner_wants_instead_ends_what_was_on_its_way() {
    let data = tempfile::tempdir().unwrap();
    let catalogs = open(data.path());
    catalogs.add(file(&SEED, 1, "one")).await.unwrap();
    let begun = catalogs.get(&key(), "broker", &GetWish::default()).await.unwrap();
    catalogs.give_way("wiki", "another").await.unwrap();
    catalogs.give_way("broker", &begun.hash).await.unwrap();
    assert!(catalogs.offers(&key())[0].coming, "it is another app's, or that very one");
    catalogs.give_way("broker", "another").await.unwrap();
    assert!(!catalogs.offers(&key())[0].coming);
    let taking = catalogs.blobs.one(&begun.hash).unwrap().here.unwrap().taking;
    assert!(matches!(taking, Taking::Refused { .. }), "it takes no place when it comes: {taking:?}");
    catalogs.blobs.close().await;
}

#[tokio::test]
async fn what_came_takes_the_place_of_a_catalog_s_app_only_where_somebody_said_so() {
    let data = tempfile::tempdir().unwrap();
    let catalogs = open(data.path());
    let (apps, blobs) = (&catalogs.apps, &catalogs.blobs);
    let wish = crate::blobs::Wish::of_app(crate::net::an_app("broker"), crate::blobs::Visibility::Community);
    let body = futures_util::stream::iter([Ok::<_, std::io::Error>("no app".into())]);
    let hash = blobs.add(wish, body).await.unwrap().hash;
    let tried = async |replace| {
        blobs.fetch_app(None, &hash, replace, |_| Ok(())).await.unwrap();
        let source = AppSource { key: "0f".repeat(32), ..AppSource::default() };
        let taking = Arc::clone(apps).keep_taking(Arc::clone(blobs), move |_| Some(source.clone()));
        let seen = async {
            loop {
                match blobs.one(&hash).unwrap().here.unwrap().taking {
                    Taking::Wanted { .. } => tokio::task::yield_now().await,
                    taking => return taking,
                }
            }
        };
        tokio::select! {
            () = taking => unreachable!("it goes on"),
            seen = seen => seen,
        }
    };
    let in_the_way = |taking: &Taking| matches!(taking, Taking::Refused { why } if why.contains("`broker`, from the catalog 0f0f0f0f0f"));
    assert!(in_the_way(&tried(false).await));
    // It is looked at, and is none.
    let looked_at = tried(true).await;
    assert!(matches!(looked_at, Taking::Refused { .. }) && !in_the_way(&looked_at), "{looked_at:?}");
    blobs.close().await;
}
