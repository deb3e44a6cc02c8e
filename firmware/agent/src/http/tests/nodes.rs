//! The list of nodes over the socket, where a microcloud has more members than a page.

use super::super::paging::Paging;
use super::super::{nodes as shown, versions};
use super::*;
use crate::client::Client;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::Uri;

const MANY: usize = 450;

/// The route, of a node with so many neighbours.
fn crowded() -> Router {
    let show = |uri: Uri, asked: Result<Query<Paging>, QueryRejection>| async move { shown::answer(shown::tests::view(MANY), &uri, asked) };
    Router::new().route("/api/v1/nodes", get(show)).layer(middleware::from_fn(versions::tagged))
}

#[tokio::test]
async fn the_command_line_reads_all_pages_of_members() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("s");
    let (stop, stopping) = watch::channel(false);
    let server = tokio::spawn(serve(Listener::Unix(UnixListener::bind(&at).unwrap(), |_| true), crowded(), stopping));
    let all = Client::new(&at).nodes().await.unwrap();
    stop.send(true).unwrap();
    server.await.unwrap();
    let names: Vec<&str> = all["members"].as_array().unwrap().iter().map(|member| member["name"].as_str().unwrap()).collect();
    let whole = shown::tests::view(MANY);
    assert_eq!(names, whole.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>());
    assert_eq!((&all["me"]["name"], &all["problems"], &all["next"]), (&json!("n0"), &json!(["WHAT; MEND"]), &Value::Null));
}

#[tokio::test]
async fn a_page_of_members_has_a_tag_of_its_own_and_leads_to_the_next() {
    let ask = async |path: &str, tag: &str| near_by(crowded(), "GET", path, &format!("if-none-match: {tag}\r\n"), "").await;
    let first = ask("/api/v1/nodes", "\"x\"").await;
    let (tag, link) = (first.header("etag").unwrap(), first.header("link").unwrap());
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    assert!(first.status == 200 && next.starts_with("/api/v1/nodes?after="), "{link}");
    assert_eq!((first.json()["members"].as_array().unwrap().len(), first.json()["me"]["name"].as_str()), (200, Some("n0")));
    let second = ask(next, tag).await;
    let others = second.header("etag").unwrap();
    assert!(second.status == 200 && others != tag, "another page is not what the first was");
    assert_eq!((ask("/api/v1/nodes", tag).await.status, ask(next, others).await.status), (304, 304));
    // A shorter page is another answer, and what is no question is refused.
    assert_eq!(ask("/api/v1/nodes?limit=2", tag).await.json()["members"].as_array().unwrap().len(), 2);
    assert_eq!(ask("/api/v1/nodes?limit=many", tag).await.status, 400);
}
