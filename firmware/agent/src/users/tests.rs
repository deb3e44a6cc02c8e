//! Users as a whole: claimed once, logged in, thrown out.

use super::*;
use std::sync::OnceLock;

const PASSWORD: &str = "correct horse";

fn ip(n: u8) -> IpAddr {
    [192, 0, 2, n].into()
}

/// The time of all these tests: it stands still, however slow the machine is.
fn still() -> Instant {
    static NOW: OnceLock<Instant> = OnceLock::new();
    *NOW.get_or_init(Instant::now)
}

fn open(data: &Path) -> Arc<Users> {
    Arc::new(Users { now: still, is_near: |_| false, ..Users::load(data, true) })
}

async fn claimed(data: &Path) -> Arc<Users> {
    let users = open(data);
    let code = users.claim_code();
    users.claim(ip(1), &code, "ana".to_owned(), PASSWORD.to_owned()).await.unwrap();
    users
}

#[tokio::test]
async fn of_two_who_claim_at_once_one_is_the_owner() {
    let data = tempfile::tempdir().unwrap();
    let users = open(data.path());
    let code = users.claim_code();
    let claim = |n: u8, name: &str| users.claim(ip(n), &code, name.to_owned(), PASSWORD.to_owned());
    let (ana, eva) = (claim(1, "ana"), claim(2, "eva"));
    let (ana, eva) = tokio::join!(ana, eva);
    assert!(ana.is_ok() && matches!(eva, Err(Refused::Rule(RuleRefused::Claimed))), "{ana:?} {eva:?}");
    assert_eq!(users.list(), [("ana".to_owned(), Role::Owner)]);
    let again = open(data.path());
    assert_eq!(again.list(), users.list());
    assert_ne!(again.claim_code(), users.claim_code());
    assert_eq!(again.claim_way(ip(1)), Way::Owned);
}

#[tokio::test]
async fn without_the_code_nobody_claims_and_guessing_is_slow() {
    let data = tempfile::tempdir().unwrap();
    let users = open(data.path());
    assert_eq!(users.claim_way(ip(1)), Way::Code);
    let wrong = "aaaa-bbbb-cccc";
    let slowed = until_slowed(async |_| users.claim(ip(1), wrong, "eva".to_owned(), PASSWORD.to_owned()).await).await;
    assert_eq!(slowed, FREE_TRIES_OF_ADDRESS);
    let code = users.claim_code();
    let refused = users.claim(ip(1), &code, "eva".to_owned(), PASSWORD.to_owned()).await;
    assert!(matches!(refused, Err(Refused::Wait(_))), "{refused:?}");
    assert!(users.claim(ip(2), &code, "ana".to_owned(), PASSWORD.to_owned()).await.is_ok());
}

#[tokio::test]
async fn a_login_is_a_new_session_and_ends_the_one_that_was_shown() {
    let data = tempfile::tempdir().unwrap();
    let users = claimed(data.path()).await;
    let first = users.login(ip(1), "ana", PASSWORD.to_owned(), None).await.unwrap();
    assert_eq!(users.session(&first, ip(1), true), Some(("ana".to_owned(), Role::Owner)));
    assert_eq!(users.session(&first, ip(2), true), None);
    let second = users.login(ip(1), "ana", PASSWORD.to_owned(), Some(&first)).await.unwrap();
    assert!(first != second && users.session(&first, ip(1), true).is_none() && users.session(&second, ip(1), true).is_some());
    users.logout(&second).await;
    assert!(users.session(&second, ip(1), true).is_none());
}

#[tokio::test]
async fn wrong_passwords_and_unknown_names_are_answered_alike() {
    let data = tempfile::tempdir().unwrap();
    let users = claimed(data.path()).await;
    for name in ["ana", "eva", "no name at all"] {
        let refused = users.login(ip(9), name, "wrong password".to_owned(), None).await.unwrap_err();
        assert_eq!(refused.to_string(), Refused::Wrong.to_string(), "{name}");
    }
    // Each time another name, so that it is the address that waits.
    let slowed = until_slowed(async |n| users.login(ip(9), &format!("eva{n}"), "wrong password".to_owned(), None).await).await;
    assert_eq!(slowed, FREE_TRIES_OF_ADDRESS - 3);
    let refused = users.login(ip(9), "ana", PASSWORD.to_owned(), None).await;
    assert!(matches!(refused, Err(Refused::Wait(_))), "{refused:?}");
    users.login(ip(8), "ana", PASSWORD.to_owned(), None).await.unwrap();
}

/// Tries until it must wait: after how many.
async fn until_slowed(attempt: impl AsyncFn(u32) -> Result<Secret, Refused>) -> u32 {
    for n in 0..30 {
        match attempt(n).await {
            Err(Refused::Wait(_)) => return n,
            Err(Refused::Wrong | Refused::Code) => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("nobody was slowed down");
}

#[tokio::test]
async fn a_name_that_is_tried_from_everywhere_is_slowed_down_too() {
    let data = tempfile::tempdir().unwrap();
    let users = claimed(data.path()).await;
    let ip_of = |n: u32| ip(10 + u8::try_from(n).unwrap());
    let slowed = until_slowed(async |n| users.login(ip_of(n), "ana", "wrong password".to_owned(), None).await).await;
    assert_eq!(slowed, FREE_TRIES_OF_NAME);
    let refused = users.login(ip(100), "ana", PASSWORD.to_owned(), None).await;
    assert!(matches!(refused, Err(Refused::Wait(_))), "{refused:?}");
}

#[tokio::test]
async fn a_change_of_role_or_password_ends_all_sessions_of_that_person() {
    let data = tempfile::tempdir().unwrap();
    let users = claimed(data.path()).await;
    users.add("ben".to_owned(), Role::Owner, PASSWORD.to_owned()).await.unwrap();
    let login = |name: &'static str, password: &str| users.login(ip(1), name, password.to_owned(), None);
    let (ana, ben) = (login("ana", PASSWORD).await.unwrap(), login("ben", PASSWORD).await.unwrap());
    users.set_role("ben", Role::Operator, Expected::anything()).await.unwrap();
    assert!(users.session(&ben, ip(1), true).is_none() && users.session(&ana, ip(1), true).is_some());
    let ben = login("ben", PASSWORD).await.unwrap();
    let new = users.change_password(ip(1), "ben", PASSWORD.to_owned(), "another horse".to_owned()).await.unwrap();
    assert!(users.session(&ben, ip(1), true).is_none());
    assert_eq!(users.session(&new, ip(1), true), Some(("ben".to_owned(), Role::Operator)));
    let wrong = users.change_password(ip(1), "ben", PASSWORD.to_owned(), "third horse".to_owned()).await;
    assert!(matches!(wrong, Err(Refused::Wrong)), "{wrong:?}");
    let (_, text) = users.make_token("ben", Scope::Admin, "x".to_owned()).await.unwrap();
    let secret = bearer(&format!("Bearer {text}")).unwrap().unwrap();
    assert_eq!(users.token(&secret).map(|(token, role)| (token.scope, role)), Some((Scope::Admin, Role::Operator)));
    users.remove("ben", Expected::anything()).await.unwrap();
    assert!(users.session(&new, ip(1), true).is_none() && users.token(&secret).is_none());
    assert!(login("ben", "another horse").await.is_err());
}

#[tokio::test]
async fn what_is_not_kept_or_not_read_makes_no_owner() {
    let data = tempfile::tempdir().unwrap();
    let lost = Arc::new(Users::load(data.path(), false));
    let code = lost.claim_code();
    assert_eq!(lost.claim_way(ip(1)), Way::Unsure);
    assert!(lost.claim(ip(1), &code, "eva".to_owned(), PASSWORD.to_owned()).await.is_err());
    assert!(matches!(lost.add("eva".to_owned(), Role::Owner, PASSWORD.to_owned()).await, Err(Refused::NotKept(_))));

    let users = claimed(data.path()).await;
    let file = data.path().join(FILE);
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    assert!(!std::fs::read_to_string(&file).unwrap().contains(PASSWORD));
    drop(users);
    std::fs::write(&file, "{").unwrap();
    for _ in 0..2 {
        let broken = open(data.path());
        assert_eq!(broken.claim_way(ip(1)), Way::Unsure);
        let code = broken.claim_code();
        assert!(broken.claim(ip(1), &code, "eva".to_owned(), PASSWORD.to_owned()).await.is_err());
    }
    // Who reaches the local socket begins anew.
    let broken = open(data.path());
    broken.add("ben".to_owned(), Role::Owner, PASSWORD.to_owned()).await.unwrap();
    assert!(data.path().join("users.json.broken").exists());
    assert_eq!(open(data.path()).list(), [("ben".to_owned(), Role::Owner)]);
    // What can't be written is not done.
    let nowhere = Arc::new(Users::load(&data.path().join("nowhere"), true));
    assert!(nowhere.add("ben".to_owned(), Role::Owner, PASSWORD.to_owned()).await.is_err() && !nowhere.owned());
}

#[tokio::test]
async fn a_session_outlives_the_agent_and_a_logout_holds() {
    let data = tempfile::tempdir().unwrap();
    let users = claimed(data.path()).await;
    let stays = users.login(ip(1), "ana", PASSWORD.to_owned(), None).await.unwrap();
    let ended = users.login(ip(1), "ana", PASSWORD.to_owned(), None).await.unwrap();
    users.logout(&ended).await;
    let again = open(data.path());
    assert_eq!(again.session(&stays, ip(1), true), Some(("ana".to_owned(), Role::Owner)));
    assert_eq!((again.session(&stays, ip(2), true), again.session(&ended, ip(1), true)), (None, None));
    let text = std::fs::read_to_string(data.path().join(SESSIONS_FILE)).unwrap();
    assert!(text.contains(&stays.hash_text()) && !text.contains(&stays.text()), "hashes alone are kept");
    assert_eq!(again.logout_everywhere("ana").await, 2);
    assert_eq!(open(data.path()).session(&stays, ip(1), true), None);
}

#[tokio::test]
async fn a_session_of_before_another_password_or_role_or_namesake_is_none_whatever_lies_on_the_disk() {
    let data = tempfile::tempdir().unwrap();
    let users = claimed(data.path()).await;
    users.add("ben".to_owned(), Role::Operator, PASSWORD.to_owned()).await.unwrap();
    let file = data.path().join(SESSIONS_FILE);
    for change in ["password", "role", "namesake"] {
        let before = users.login(ip(1), "ben", PASSWORD.to_owned(), None).await.unwrap();
        let written = std::fs::read(&file).unwrap();
        match change {
            "password" => users.set_password("ben", PASSWORD.to_owned(), Expected::anything()).await.unwrap(),
            "role" => users.set_role("ben", Role::Guest, Expected::anything()).await.unwrap(),
            _ => {
                users.remove("ben", Expected::anything()).await.unwrap();
                users.add("ben".to_owned(), Role::Guest, PASSWORD.to_owned()).await.unwrap();
            }
        }
        // As if the power had gone before that was written.
        std::fs::write(&file, written).unwrap();
        assert_eq!(open(data.path()).session(&before, ip(1), true), None, "{change}");
    }
}

#[tokio::test]
async fn what_can_not_be_read_logs_all_out_and_what_can_not_be_written_comes_back_to_nobody() {
    let data = tempfile::tempdir().unwrap();
    let users = claimed(data.path()).await;
    let id = users.login(ip(1), "ana", PASSWORD.to_owned(), None).await.unwrap();
    let file = data.path().join(SESSIONS_FILE);
    let written = std::fs::read(&file).unwrap();
    for bad in [&b""[..], b"{}", b"[1]", &written[..written.len() / 2], b"\xff\xff"] {
        std::fs::write(&file, bad).unwrap();
        assert_eq!(open(data.path()).session(&id, ip(1), true), None);
    }
    std::fs::write(&file, &written).unwrap();
    assert!(open(data.path()).session(&id, ip(1), true).is_some());
    // What is to be written goes beside the file first; a folder of that name is in its way.
    std::fs::create_dir(file.with_extension("new")).unwrap();
    users.logout(&id).await;
    assert!(users.session(&id, ip(1), true).is_none() && !file.exists());
}
