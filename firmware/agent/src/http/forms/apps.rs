//! Forms about apps.

use super::{Reader, html, to};
use crate::apps::{AppView, BackupWish, Face, FoundApp, Publication, UseView, Wish};
use crate::catalogs::CatalogDetails;
use crate::http::apps::{LOG_LINES, begin_action, begin_change, begin_install, begin_remove, read_logs, set_publication, what_changes};
use crate::http::backups::begin_backup;
use crate::http::guard::bare;
use crate::http::pages::apps::{self as page, Details, Shown};
use crate::http::problem::Refusal;
use crate::http::shared_apps::{self, Sharing};
use crate::revision::Expected;
use crate::state::App;
use crate::text::{Code, Told};
use crate::users::Operation;
use axum::extract::{Form, Path};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use contract::apps::SettingKind;
use std::collections::{BTreeMap, BTreeSet};

/// This node as the reader typed it, without the port; `guard` has seen that it is one of its names.
pub(in crate::http) fn host(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    bare(host).to_owned()
}

/// What the reader may see.
async fn shown(reader: &Reader, headers: &HeaderMap) -> Shown {
    let apps = reader.app.apps();
    let (mut catalog, mut own, mut jobs, mut elsewhere) = (Vec::new(), Vec::new(), Vec::new(), Ok(Vec::new()));
    let (mut used, mut signed, mut origins) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    if reader.caller.may(Operation::Inspect) {
        own = apps.in_background(|apps| apps.list_own()).await.unwrap_or_default();
        catalog = apps.in_background(|apps| apps.list_catalog()).await.unwrap_or_default();
        jobs = apps.jobs();
        elsewhere = found(reader).await;
        used = uses(&reader.app).await;
        signed = followed(&reader.app).await;
        origins = reader.app.catalogs().origins();
    }
    let (apps, given) = (apps.list().await, given(reader));
    Shown { apps, uses: used, catalog, given, found: elsewhere, signed, origins, own, jobs, host: host(headers) }
}

/// The signed catalogs that are followed, with their apps.
async fn followed(app: &App) -> Vec<CatalogDetails> {
    let followed = app.catalogs().list().await.into_iter().filter(|catalog| catalog.followed);
    followed.map(|catalog| CatalogDetails { offers: app.catalogs().offers(&catalog.key), catalog }).collect()
}

/// What apps use, by name. Where Docker can't be asked, how each app is says so.
async fn uses(app: &App) -> BTreeMap<String, UseView> {
    app.apps().uses().await.unwrap_or_default().into_iter().map(|its| (its.name.clone(), its)).collect()
}

/// Names of the apps that this node gives to others.
fn given(reader: &Reader) -> BTreeSet<String> {
    reader.app.blobs().apps_given().into_iter().map(|(_, app)| app.name).collect()
}

/// What other nodes give, as far as one page has room for it.
async fn found(reader: &Reader) -> Result<Vec<FoundApp>, String> {
    shared_apps::find_new(&reader.app).await.map_err(|refusal| refusal.said(reader.lang))
}

/// The page of apps, with what was not done.
pub(super) async fn refused(reader: &Reader, headers: &HeaderMap, refusal: &Refusal) -> Response {
    let body = page::body(&reader.view(), &shown(reader, headers).await, Some(&refusal.said(reader.lang)));
    reader.refused(refusal, "/apps", &body)
}

/// `GET /apps`
pub async fn show(reader: Reader, headers: HeaderMap) -> Response {
    let body = page::body(&reader.view(), &shown(&reader, &headers).await, None);
    reader.page("/apps", Some("/apps/body"), &body)
}

/// `GET /apps/body`
pub async fn show_body(reader: Reader, headers: HeaderMap) -> Response {
    html(page::body(&reader.view(), &shown(&reader, &headers).await, None))
}

async fn find(app: &App, name: &str) -> Option<AppView> {
    app.apps().list().await.into_iter().find(|app| app.name == name)
}

/// `GET /apps/NAME`
pub async fn show_one(reader: Reader, Path(name): Path<String>) -> Response {
    match details(&reader, &name, false, None, None).await {
        Some(body) => reader.page("/apps", None, &body),
        None => reader.nothing(),
    }
}

/// The page of one app; with `update`, its form is about the version that the catalog has. What was `typed` of how it is published is shown again.
async fn details(reader: &Reader, name: &str, update: bool, wrong: Option<&str>, typed: Option<Publication>) -> Option<maud::Markup> {
    let app = find(&reader.app, name).await?;
    let of = name.to_owned();
    let mut change = reader.app.apps().in_background(move |apps| apps.changeable(&of, update)).await.ok()?;
    if let (Some(change), Some(typed)) = (&mut change, typed) {
        change.publication = Some(typed);
    }
    // Both ask Docker.
    let (log, uses) = tokio::join!(read_logs(&reader.app, name, LOG_LINES), uses(&reader.app));
    let log = log.map_err(|refusal| refusal.said(reader.lang));
    let log = log.as_ref().map_or_else(|why| Err(why.as_str()), |log| Ok(log.as_str()));
    let changes =
        if update { Some(what_changes(&reader.app, name.to_owned()).await.map_err(|refusal| refusal.said(reader.lang))) } else { None };
    let update = changes.as_ref().map(|changes| changes.as_ref().map_err(String::as_str));
    let shared = given(reader).contains(name);
    let details = Details { app: &app, change: change.as_ref(), update, shared, log, uses: uses.get(name) };
    Some(page::one(&reader.view(), &details, wrong))
}

/// `GET /apps/NAME/{install,remove,update}`: what is asked before.
pub async fn ask(reader: Reader, Path((name, action)): Path<(String, String)>) -> Response {
    match action.as_str() {
        "install" => match choices(&reader, &name, None).await {
            Some(body) => reader.page("/apps", None, &body),
            None => reader.nothing(),
        },
        "update" => match details(&reader, &name, true, None, None).await {
            Some(body) => reader.page("/apps", None, &body),
            None => reader.nothing(),
        },
        "remove" => match find(&reader.app, &name).await {
            Some(app) => reader.page("/apps", None, &page::remove(&reader.view(), &app)),
            None => reader.nothing(),
        },
        _ => reader.nothing(),
    }
}

/// What may be chosen before that app is installed.
async fn choices(reader: &Reader, name: &str, wrong: Option<&str>) -> Option<maud::Markup> {
    let of = name.to_owned();
    let (facts, ports) = reader.app.apps().in_background(move |apps| apps.offer(&of)).await.ok()??;
    Some(page::install(&reader.view(), &facts, &ports, wrong))
}

/// `POST /apps/NAME/ACTION`
pub async fn act(
    reader: Reader,
    Path((name, action)): Path<(String, String)>,
    headers: HeaderMap,
    Form(fields): Form<BTreeMap<String, String>>,
) -> Response {
    let app = &reader.app;
    let seen = Expected::by_field(fields.get("revision").map(String::as_str));
    let done = match action.as_str() {
        "install" => match wish(&fields) {
            Ok(wish) => begin_install(app, name.clone(), wish).await.map(|_| ()),
            Err(refusal) => Err(refusal),
        },
        "remove" => {
            let with_data = fields.get("with-data").is_some_and(|said| said == "true");
            begin_remove(app, name.clone(), with_data, seen).await.map(|_| ())
        }
        "change" | "update" => match changed(&reader, &name, &fields, action == "update").await {
            Ok(wish) => begin_change(app, name.clone(), wish, seen).await.map(|_| ()),
            Err(refusal) => Err(refusal),
        },
        "publish" => set_publication(app, &reader.caller, &name, Some(publication(&fields)), seen).await,
        "share" => shared_apps::give(app, &name, &Sharing::default()).await.map(drop),
        "backup" => {
            let shared = fields.get("shared").is_some_and(|said| said == "true");
            begin_backup(app, name.clone(), BackupWish { shared }).await.map(drop)
        }
        "withdraw" => set_publication(app, &reader.caller, &name, None, seen).await,
        other => begin_action(app, name.clone(), other).await.map(|_| ()),
    };
    let Err(refusal) = done else { return to("/apps") };
    // What somebody else did meanwhile is shown below, and can be changed again.
    let words = match refusal.status {
        StatusCode::PRECONDITION_FAILED => reader.lang.store().changed_meanwhile.to_owned(),
        _ => refusal.said(reader.lang),
    };
    let wrong = Some(words.as_str());
    let again = match action.as_str() {
        "install" => choices(&reader, &name, wrong).await,
        "publish" => {
            let typed = (refusal.status == StatusCode::UNPROCESSABLE_ENTITY).then(|| publication(&fields));
            details(&reader, &name, false, wrong, typed).await
        }
        "change" | "update" | "backup" => details(&reader, &name, action == "update", wrong, None).await,
        _ => None,
    };
    let body = match again {
        Some(body) => body,
        None => page::body(&reader.view(), &shown(&reader, &headers).await, wrong),
    };
    reader.refused(&refusal, "/apps", &body)
}

/// What a form's fields wish: `port.NAME` and `set.NAME`. An empty field says nothing.
pub(super) fn wish(fields: &BTreeMap<String, String>) -> Result<Wish, Refusal> {
    let mut wish = Wish::default();
    for (field, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        if let Some(name) = field.strip_prefix("set.") {
            wish.settings.insert(name.to_owned(), value.clone());
        } else if let Some(name) = field.strip_prefix("port.") {
            let no_port = |_| {
                let why = format!("`{name}` is no port: a number from 1 to 65535");
                Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why).told(Told::new(Code::PortNumber, &[&value]))
            };
            let number = value.parse().map_err(no_port)?;
            wish.ports.insert(name.to_owned(), number);
        }
    }
    Ok(wish)
}

/// What is wished of an installed app: what [`wish`] reads, and a text that was emptied is empty. An empty field of another kind
/// says nothing: of a password, that it stays.
async fn changed(reader: &Reader, name: &str, fields: &BTreeMap<String, String>, update: bool) -> Result<Wish, Refusal> {
    let mut wish = Wish { update, ..wish(fields)? };
    let of = name.to_owned();
    let facts = reader.app.apps().in_background(move |apps| apps.facts(&of, update)).await;
    if let Ok(Some(facts)) = facts {
        wish.settings.extend(emptied(&facts, fields));
    }
    Ok(wish)
}

/// The texts that were emptied.
fn emptied<'a>(facts: &'a Face, fields: &'a BTreeMap<String, String>) -> impl Iterator<Item = (String, String)> + 'a {
    let texts = facts.settings.iter().filter(|(_, setting)| matches!(setting.kind, SettingKind::Text(_)));
    let empty = |name: &String| fields.get(&format!("set.{name}")).is_some_and(String::is_empty);
    texts.filter(move |(name, _)| empty(name)).map(|(name, _)| (name.clone(), String::new()))
}

/// How it shall be published; an empty field leaves it to the app's own words.
fn publication(fields: &BTreeMap<String, String>) -> Publication {
    let said = |name: &str| fields.get(name).map(|said| said.trim().to_owned()).filter(|said| !said.is_empty());
    let tags = fields.get("languages").map(String::as_str).unwrap_or_default().split([',', ' ', ';']).filter(|tag| !tag.is_empty());
    let languages = tags.map(str::to_ascii_lowercase).collect();
    let (category, url) = (said("category").map(|word| word.to_lowercase()), said("url"));
    // The list of ports always says one: an address that was typed counts instead.
    let port = said("port").filter(|_| url.is_none());
    Publication { title: said("title"), description: said("description"), category, url, port, languages }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_may_be_emptied_and_an_empty_password_stays_as_it_is() {
        let facts = concat!(env!("CARGO_MANIFEST_DIR"), "/../../images/apps/mosquitto/app.toml");
        let facts = contract::apps::read(std::path::Path::new(facts), &std::fs::read_to_string(facts).unwrap()).unwrap();
        let facts = Face::of(&facts, String::new());
        let fields = [("set.user", ""), ("set.password", ""), ("set.open", ""), ("port.mqtt", "")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(emptied(&facts, &fields).collect::<Vec<_>>(), [("user".to_owned(), String::new())]);
        assert_eq!(wish(&fields).unwrap(), Wish::default());
    }

    #[test]
    fn what_neighbours_see_is_the_apps_own_words_where_nothing_is_typed() {
        let fields =
            [("csrf", "x"), ("title", " Our broker "), ("description", "  ")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let said = publication(&fields.into());
        assert_eq!(said, Publication { title: Some("Our broker".to_owned()), ..Publication::default() });
        assert_eq!(publication(&BTreeMap::new()), Publication::default());
        let tags = publication(&[("languages".to_owned(), " ca, ES,,pt-br ".to_owned())].into()).languages;
        assert_eq!(tags, ["ca", "es", "pt-br"]);
        let fields =
            [("category", " Barri "), ("url", "https://a/ "), ("port", "web")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let said = publication(&fields.clone().into());
        assert_eq!((said.category.as_deref(), said.url.as_deref(), said.port), (Some("barri"), Some("https://a/"), None));
        assert_eq!(publication(&fields[2..].iter().cloned().collect()).port.as_deref(), Some("web"));
    }

    #[test]
    fn fields_say_what_is_wished() {
        let fields = [("csrf", "x"), ("port.web", "8081"), ("port.other", ""), ("set.user", "ana"), ("set.title", "")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let wished = wish(&fields.into()).unwrap();
        assert_eq!(wished.ports, [("web".to_owned(), 8081)].into());
        assert_eq!(wished.settings, [("user".to_owned(), "ana".to_owned())].into());
        assert!(wish(&[("port.web".to_owned(), "70000".to_owned())].into()).is_err());
    }

    #[test]
    fn the_host_is_what_was_typed() {
        for (typed, bare) in [("garden", "garden"), ("10.0.0.1:80", "10.0.0.1"), ("[fd00::1]:80", "[fd00::1]"), ("[fd00::1]", "[fd00::1]")]
        {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, typed.parse().unwrap());
            assert_eq!(host(&headers), bare);
        }
    }
}
