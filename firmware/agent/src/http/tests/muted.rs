//! What one person mutes is nobody else's business, and what is hidden from all is not for a node alone.

use super::*;
use crate::net::ServiceRef;
use crate::users::Role;

#[tokio::test]
async fn what_a_person_mutes_is_seen_and_undone_by_that_person_alone() {
    let data = tempfile::tempdir().unwrap();
    let (app, sessions) = peopled(data.path()).await;
    let (node, own) = ("ab".repeat(32), "/api/v1/account/muted");
    for (name, key) in [("ana", Some("wiki")), ("ana", None), ("ben", Some("photos"))] {
        app.users().set_muted(name, ServiceRef::new(&node, key).unwrap().text(), true).await.unwrap();
    }
    // Who could not undo it is not bound by it: somebody who was made a guest.
    let bound = |role| crate::http::muted::of(&app, &pages::tests::caller(Some(role))).len();
    assert_eq!([Role::Owner, Role::Operator, Role::Guest].map(bound), [2, 2, 0]);
    let keys = async |cookie: &str| {
        let answer = far(&app, "GET", own, &format!("cookie: {cookie}\r\n"), "").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let muted = answer.json()["muted"].as_array().unwrap().clone();
        muted.iter().map(|one| one["key"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let ([(_, ana, ana_csrf), (_, ben, ben_csrf), (_, eva, eva_csrf)], wiki) = (sessions.as_slice(), format!("{own}/{node}/wiki")) else {
        panic!()
    };
    assert_eq!((keys(ana).await, keys(ben).await), (vec![None, Some("wiki".to_owned())], vec![Some("photos".to_owned())]));
    assert_eq!(far(&app, "GET", own, &format!("cookie: {eva}\r\n"), "").await.status, 403);
    // Of a list in pages the rest follows.
    let first = far(&app, "GET", &format!("{own}?limit=1"), &format!("cookie: {ana}\r\n"), "").await;
    assert!(first.header("link").is_some() && first.json()["muted"].as_array().unwrap().len() == 1, "{}", first.text);

    assert_eq!(far(&app, "DELETE", &wiki, &ours(ben, ben_csrf), "").await.status, 404);
    assert_eq!(far(&app, "DELETE", &wiki, &ours(eva, eva_csrf), "").await.status, 403);
    assert_eq!(keys(ana).await.len(), 2);
    let page = far(&app, "GET", "/account", &format!("cookie: {ana}\r\n"), "").await;
    assert_eq!(page.body().matches("action=\"/muted/show\"").count(), 2);
    assert_eq!(far(&app, "DELETE", &wiki, &ours(ana, ana_csrf), "").await.status, 200);
    assert_eq!(keys(ana).await, [None]);
    assert_eq!(far(&app, "DELETE", &format!("{own}/{node}"), &ours(ana, ana_csrf), "").await.status, 200);
    assert!(keys(ana).await.is_empty());

    // Over the local socket nobody is a person; an id that is none is refused; a node alone has nothing to hide.
    assert_eq!(near(&app, "GET", own, "").await.status, 403);
    assert_eq!(far(&app, "DELETE", &format!("{own}/roof"), &ours(ana, ana_csrf), "").await.status, 422);
    assert_eq!(near(&app, "PUT", &format!("/api/v1/hidden/{node}"), "{}").await.status, 409);
    assert_eq!(near(&app, "GET", "/api/v1/hidden", "").await.status, 409);
}
