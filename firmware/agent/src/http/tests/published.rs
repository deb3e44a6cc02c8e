//! At which address an app is published is the owner's to say.

use super::*;

#[tokio::test]
async fn who_runs_apps_publishes_them_at_no_address_of_another_machine() {
    let data = tempfile::tempdir().unwrap();
    let (app, sessions) = peopled(data.path()).await;
    let put = async |(_, cookie, csrf): &(Role, String, String), body: &str| {
        far(&app, "PUT", "/api/v1/apps/wiki/publication", &format!("{}content-type: application/json\r\n", ours(cookie, csrf)), body).await
    };
    let (owner, operator) = (&sessions[0], &sessions[1]);
    let elsewhere = r#"{"url":"https://bank.example.org/"}"#;
    let refused = put(operator, elsewhere).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert!(refused.text.contains("owners alone publish an app at an address"), "{}", refused.text);
    // The owner, and whoever says no address, is asked for a microcloud to publish in.
    for (who, body) in [(owner, elsewhere), (operator, r#"{"title":"Wiki"}"#)] {
        assert_eq!(put(who, body).await.status, 409);
    }
}
