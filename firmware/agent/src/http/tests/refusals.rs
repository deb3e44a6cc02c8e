//! Why something was not done: on pages in the reader's language, in the API by a name that no language changes.

use super::*;

#[tokio::test]
async fn pages_refuse_in_the_readers_language_and_the_api_names_the_reason() {
    let data = tempfile::tempdir().unwrap();
    let (app, sessions) = peopled(data.path()).await;
    let (_, cookie, csrf) = &sessions[0];
    let form = |lang: &str| {
        format!(
            "cookie: {cookie}\r\norigin: http://garden\r\ncontent-type: application/x-www-form-urlencoded\r\naccept-language: {lang}\r\n"
        )
    };
    let said = async |lang: &str, path: &str, fields: &str| far(&app, "POST", path, &form(lang), &format!("csrf={csrf}&{fields}")).await;
    let twice = "name=ben&role=guest&password=correct+horse";
    for (lang, words) in [
        ("en", "There is a user of that name already."),
        ("es", "Ya hay un usuario con ese nombre."),
        ("ca", "Ja hi ha un usuari amb aquest nom."),
    ] {
        let page = said(lang, "/users", twice).await;
        assert!(page.status == 409 && page.body().contains(words), "{}", page.text);
    }
    assert!(said("es", "/apps/none/start", "").await.body().contains("La aplicación «none» no está instalada."));
    assert!(said("ca", "/apps/none/install", "port.web=x").await.body().contains("«x» no és un port"));
    assert!(said("es", "/setup/nonsense", "").await.body().contains("Esa página no existe."));

    // The API says it in English, whoever asks, with a name that programs can go by.
    let spoken = format!("{}accept-language: es\r\n", ours(cookie, csrf));
    let refused = far(&app, "POST", "/api/v1/apps/none/start", &spoken, "").await.json();
    assert_eq!(refused["type"], "urn:cloudy:problem:app-not-installed");
    assert!(refused["detail"].as_str().unwrap().starts_with("the app `none` is not installed"), "{refused}");
    let wrong = far(&app, "POST", "/api/v1/session", "", &json!({ "name": "ana", "password": "x" }).to_string()).await.json();
    assert_eq!(wrong["type"], "urn:cloudy:problem:wrong-login");
    assert_eq!(far(&app, "GET", "/api/v1/jobs/99", &spoken, "").await.json()["type"], "about:blank", "what has no name");
}
