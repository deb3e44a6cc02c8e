//! What apps in containers of this node reach of the page and the API.

use super::*;
use crate::users::Scope;
use hyper_util::service::TowerToHyperService;
use serve::Peer;

async fn answer(app: &Arc<App>, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let request = axum::http::Request::builder().method(method).uri(path).header("host", "garden");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.extension(Peer::Container([172, 18, 0, 2].into())).body(axum::body::Body::from("{}")).unwrap();
    let answer = hyper::service::Service::call(&TowerToHyperService::new(network(Arc::clone(app))), request).await.unwrap();
    answer.status().as_u16()
}

#[tokio::test]
async fn an_app_in_a_container_reaches_nothing_but_what_a_token_lets_it() {
    let data = tempfile::tempdir().unwrap();
    let (app, sessions) = peopled(data.path()).await;
    let (_, cookie, csrf) = &sessions[0];
    let mut tried = 0;
    for Route { method, path, operation, .. } in routes::TABLE.iter().filter(|route| route.side() != Side::Local) {
        let path = filled(path);
        // Of stores nobody is told anything without an app's token.
        let refused = if *operation == Operation::Store { 401 } else { 403 };
        assert_eq!(answer(&app, method, &path, &[]).await, refused, "{method} {path}");
        let stolen = [("cookie", cookie.as_str()), ("origin", "http://garden"), ("x-csrf-token", csrf.as_str())];
        assert_eq!(answer(&app, method, &path, &stolen).await, refused, "{method} {path}");
        tried += 1;
    }
    assert!(tried > 50, "{tried}");
    let token = app.users().make_token("ana", Scope::Admin, String::new()).await.unwrap().1;
    let bearer = format!("Bearer {token}");
    assert_eq!(answer(&app, "GET", "/api/v1/users", &[("authorization", &bearer)]).await, 200);
    let own = app.app_tokens().make("notes").unwrap();
    let bearer = format!("Bearer {own}");
    assert_ne!(answer(&app, "GET", "/api/v1/store/notes/a", &[("authorization", &bearer)]).await, 403);
}
