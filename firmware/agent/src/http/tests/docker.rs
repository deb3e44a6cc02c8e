//! Docker is started by a button, by those who run apps.

use super::*;
use crate::household::HouseholdView;
use crate::http::pages::tests::caller;
use crate::http::pages::{View, home};
use crate::net::Page;
use crate::problems::{find, tests::well};
use crate::status::{Docker, Status};
use crate::text::Lang;
use crate::units::Action;

/// A node whose Docker does not run, or does not answer.
pub fn without_docker(docker: Docker) -> Status {
    let mut status = Status { docker, ..well() };
    status.problems = find(&status, &[], Lang::En);
    status
}

fn stopped() -> Status {
    without_docker(Docker::Stopped { unit: "failed".to_owned() })
}

#[test]
fn the_notice_has_a_button_for_those_who_run_apps_alone() {
    let html = |role, status: &Status| {
        let caller = caller(role);
        home::body(
            &View { node: "garden", lang: Lang::En, caller: &caller, owned: true },
            status,
            (None, &HouseholdView::default()),
            &Page::default(),
            &[],
        )
        .into_string()
    };
    for (role, may) in [(None, false), (Some(Role::Guest), false), (Some(Role::Operator), true), (Some(Role::Owner), true)] {
        let page = html(role, &stopped());
        assert!(page.contains("Docker does not run (its service is failed)"), "{page}");
        assert_eq!((page.contains("action=\"/docker/start\""), page.contains("Start Docker")), (may, may), "{role:?}");
        let silent = without_docker(Docker::Silent { reason: "no answer".to_owned() });
        assert_eq!(html(role, &silent).contains("action=\"/docker/restart\""), may, "{role:?}");
        assert!(!html(role, &well()).contains("/docker/"), "where it runs there is nothing to press");
    }
}

#[tokio::test]
async fn who_runs_apps_starts_docker_and_nobody_stops_it_so() {
    let data = tempfile::tempdir().unwrap();
    let (app, sessions) = peopled(data.path()).await;
    *app.systemd().played.lock().unwrap() = Some(Vec::new());
    let asked = || std::mem::take(app.systemd().played.lock().unwrap().as_mut().unwrap());
    let docker = |action| vec![(action, "docker.service".to_owned())];
    let (owner, operator, guest) = (&sessions[0], &sessions[1], &sessions[2]);
    let form = |cookie: &str| format!("cookie: {cookie}\r\norigin: http://garden\r\ncontent-type: application/x-www-form-urlencoded\r\n");
    let pressed = far(&app, "POST", "/docker/start", &form(&operator.1), &format!("csrf={}", operator.2)).await;
    assert_eq!((pressed.status, pressed.header("location")), (303, Some("/")), "{}", pressed.text);
    assert_eq!(asked(), docker(Action::Start));
    let said = far(&app, "POST", "/api/v1/docker/restart", &ours(&operator.1, &operator.2), "").await;
    assert_eq!((said.status, said.json()), (200, json!({ "result": "done" })));
    assert_eq!(asked(), docker(Action::Restart));
    assert_eq!(near(&app, "POST", "/api/v1/docker/start", "").await.status, 200);
    assert_eq!(asked(), docker(Action::Start));
    // Without the session's own token, as a guest, as nobody: nothing is asked of systemd.
    assert_eq!(far(&app, "POST", "/docker/start", &form(&operator.1), "csrf=0").await.status, 403);
    assert_eq!(far(&app, "POST", "/docker/start", &form(&guest.1), &format!("csrf={}", guest.2)).await.status, 403);
    assert_eq!(far(&app, "POST", "/api/v1/docker/start", &ours(&guest.1, &guest.2), "").await.status, 403);
    assert!(matches!(far(&app, "POST", "/api/v1/docker/start", "", "").await.status, 401 | 403));
    for path in ["/docker/stop", "/api/v1/docker/stop"] {
        let answer = far(&app, "POST", path, &ours(&owner.1, &owner.2), "").await;
        assert_eq!(answer.status, 404, "{}", answer.text);
    }
    assert_eq!(asked(), []);
}
