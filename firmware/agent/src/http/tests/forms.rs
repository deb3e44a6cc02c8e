//! Each form and button of each page is an operation of the API, for the same people: what a page can do, a program can.

use super::super::muted::MutedView;
use super::super::pages::tests::caller;
use super::super::pages::{
    View, api, apps, backups, by_hand, catalogs, cloud, encrypted, files, found, help, hidden, home, household, jobs, leases, not_done,
    own, page, people, search, settings, setup, storage, tunnels, words,
};
use super::super::routes::{Route, Side, TABLE};
use super::docker::without_docker;
use crate::apps::{AppSource, AppView, AskedView, CatalogView, Changeable, Face, FoundApp, OwnDetails, OwnView, PortView};
use crate::broker::Run;
use crate::catalogs::{CatalogInfo, some_catalog};
use crate::net::{ClusterView, CommunityView, Door, Listed, Liveness, Me, MemberView, Page, Search, Service};
use crate::problems::tests::well;
use crate::status::Docker;
use crate::text::Lang;
use crate::users::{Operation, Role, Scope, Token, UserView, Way};
use maud::{Markup, html};
use std::collections::BTreeSet;

/// What a form does → the operation that it equals. Names of apps and users are `{name}` here.
const EQUALS: [(&str, &str, &str); 105] = [
    ("get", "/files", "blobs"),
    ("post", "/api/v1/blobs", "blob_add"),
    ("post", "/files/{name}/fetch", "blob_fetch"),
    ("post", "/files/{name}/pin", "blob_change"),
    ("post", "/files/{name}/unpin", "blob_change"),
    ("post", "/files/{name}/share", "blob_change"),
    ("post", "/files/{name}/remove", "blob_remove"),
    ("post", "/docker/start", "docker_act"),
    ("post", "/docker/restart", "docker_act"),
    ("get", "/search", "services"),
    ("post", "/hidden/hide", "hide_service"),
    ("post", "/hidden/show", "show_service"),
    ("post", "/muted/mute", "mute_service"),
    ("post", "/muted/show", "unmute_service"),
    ("post", "/tunnels", "tunnel_open"),
    ("post", "/tunnels/{port}/close", "tunnel_close"),
    ("post", "/login", "login"),
    ("post", "/logout", "logout"),
    ("post", "/claim", "claim"),
    ("post", "/apps/{name}/install", "app_install"),
    ("post", "/apps/{name}/change", "app_change"),
    ("post", "/apps/{name}/update", "app_change"),
    ("post", "/apps/{name}/start", "app_act"),
    ("post", "/apps/{name}/stop", "app_act"),
    ("post", "/apps/{name}/restart", "app_act"),
    ("post", "/apps/{name}/remove", "app_remove"),
    ("post", "/apps/{name}/publish", "app_publish"),
    ("post", "/apps/{name}/withdraw", "app_withdraw"),
    ("post", "/apps/{name}/share", "catalog_share"),
    ("post", "/apps/{name}/backup", "app_backup"),
    ("post", "/backups/new-key", "backup_key_make"),
    ("post", "/backups/key", "backup_key_set"),
    ("post", "/backups/{name}/restore", "backup_restore"),
    ("post", "/found-apps/{name}/fetch", "found_app_fetch"),
    ("post", "/found-apps/{name}/replace", "found_app_fetch"),
    ("post", "/catalogs", "catalogs_follow"),
    ("post", "/catalogs/{name}/follow", "catalogs_follow"),
    ("post", "/catalogs/{name}/unfollow", "catalogs_unfollow"),
    ("post", "/catalogs/{name}/{name}/install", "catalogs_get"),
    ("post", "/catalogs/{name}/{name}/fetch", "catalogs_get"),
    ("post", "/catalogs/{name}/{name}/replace", "catalogs_get"),
    ("post", "/leases/offer/{name}", "lease_offer"),
    ("post", "/leases/{name}/accept", "lease_decide"),
    ("post", "/leases/{name}/refuse", "lease_decide"),
    ("post", "/leases/{name}/end", "lease_decide"),
    ("post", "/lease-policy", "lease_policy_set"),
    ("post", "/replicas/{name}", "replicas_set"),
    ("post", "/own-form", "own_app_save"),
    ("post", "/own-compose", "own_app_save"),
    ("post", "/own/{name}/remove", "own_app_forget"),
    ("post", "/own/{name}/grant", "own_app_grant"),
    ("post", "/by-hand/{name}/adopt", "by_hand_adopt"),
    ("post", "/by-hand/containers/{name}/remove", "by_hand_remove"),
    ("post", "/by-hand/images/{name}/remove", "by_hand_image_remove"),
    ("post", "/by-hand/volumes/{name}/remove", "by_hand_volume_remove"),
    ("post", "/account/password", "own_password"),
    ("post", "/account/everywhere", "end_sessions"),
    ("post", "/account/token", "own_token_make"),
    ("post", "/account/revoke", "own_token_revoke"),
    ("post", "/microcloud/found", "found"),
    ("post", "/microcloud/invite", "invite"),
    ("post", "/microcloud/join", "join"),
    ("post", "/microcloud/rename", "rename"),
    ("post", "/microcloud/leave", "leave"),
    ("post", "/microcloud/revoke", "revoke"),
    ("post", "/microcloud/replace", "replace"),
    ("post", "/microcloud/appoint", "appoint"),
    ("post", "/microcloud/dismiss", "dismiss"),
    ("post", "/microcloud/door", "door"),
    ("post", "/household/begin", "household_begin"),
    ("post", "/household/ask", "household_ask"),
    ("post", "/household/answer", "household_answer"),
    ("post", "/household/back", "household_take_back"),
    ("post", "/household/leave", "household_leave"),
    ("post", "/household/nodes/{node}/{name}/start", "at_do"),
    ("post", "/household/nodes/{node}/{name}/stop", "at_do"),
    ("post", "/microcloud/ask", "asking_begin"),
    ("post", "/microcloud/same", "asking_same"),
    ("post", "/microcloud/stop", "asking_stop"),
    ("post", "/microcloud/let-in", "newcomer_decide"),
    ("post", "/microcloud/turn-away", "newcomer_decide"),
    ("post", "/encrypted", "https_set"),
    ("post", "/settings/time", "settings_set"),
    ("post", "/settings/network", "settings_set"),
    ("post", "/settings/wifi", "settings_set"),
    ("post", "/settings/no-wifi", "settings_set"),
    ("post", "/settings/keep", "settings_keep"),
    ("post", "/settings/restart", "power"),
    ("post", "/settings/off", "power"),
    ("post", "/settings/reset", "reset"),
    ("post", "/setup/name", "setup_set"),
    ("post", "/setup/microcloud", "setup_set"),
    ("post", "/setup/kit", "setup_set"),
    ("post", "/setup/place", "setup_set"),
    ("post", "/setup/done", "setup_set"),
    ("post", "/storage/prepare", "disk_prepare"),
    ("post", "/storage/move", "app_move"),
    ("post", "/storage/{disk}/use", "disk_act"),
    ("post", "/storage/{disk}/eject", "disk_act"),
    ("post", "/storage/{disk}/repair", "disk_act"),
    ("post", "/storage/{disk}/forget", "disk_act"),
    ("post", "/users", "user_add"),
    ("post", "/users/{name}/role", "user_role"),
    ("post", "/users/{name}/password", "user_password"),
    ("post", "/users/{name}/remove", "user_remove"),
];

/// The files of pages: who adds one adds what it shows to [`all_pages`].
const PAGES: [&str; 27] = [
    "api.rs",
    "apps.rs",
    "backups.rs",
    "by_hand.rs",
    "catalogs.rs",
    "changes.rs",
    "cloud.rs",
    "encrypted.rs",
    "files.rs",
    "found.rs",
    "help.rs",
    "hidden.rs",
    "home.rs",
    "household.rs",
    "jobs.rs",
    "leases.rs",
    "map.rs",
    "mod.rs",
    "own.rs",
    "people.rs",
    "running.rs",
    "search.rs",
    "settings.rs",
    "setup.rs",
    "storage.rs",
    "tunnels.rs",
    "words.rs",
];

fn mosquitto() -> Face {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../images/apps/mosquitto/app.toml");
    Face::of(&contract::apps::read(std::path::Path::new(file), &std::fs::read_to_string(file).unwrap()).unwrap(), String::new())
}

/// One with something that an owner must allow, one of a container, one that is installed, one without.
fn own_views() -> [OwnView; 4] {
    let privilege = "device=/dev/ttyUSB0".parse().unwrap();
    let asked = AskedView { privilege, key: "devices".to_owned(), line: 4, column: 5, granted: false };
    let view = OwnView { name: "wiki".to_owned(), ..OwnView::default() };
    [
        OwnView { asked: vec![asked], ..view.clone() },
        OwnView { by_hand: Some("wiki".to_owned()), ..view.clone() },
        OwnView { installed: true, ..view.clone() },
        view,
    ]
}

fn own_pages(view: &View<'_>) -> Markup {
    let filled = own::Filled { name: "wiki".to_owned(), saved: true, ..own::Filled::default() };
    html! {
        @for app in own_views() { (own::one(view, &OwnDetails { view: app, ..OwnDetails::default() }, None)) }
        (own::form(view, &filled, None)) (own::compose(view, &own::Filled::default(), Some("x")))
    }
}

fn app_pages(view: &View<'_>) -> Markup {
    let app = |run, published| AppView { name: "wiki".to_owned(), run, published, newer: true, ..AppView::default() };
    let offers = [Vec::new(), vec!["password".to_owned()]];
    let found_app = |takes_from| FoundApp { hash: "wiki".to_owned(), takes_from, ..found::tests::found("wiki", None) };
    let offer = |must: &Vec<String>| CatalogView { name: "wiki".to_owned(), must: must.clone(), ..CatalogView::default() };
    let shown = apps::Shown {
        uses: std::collections::BTreeMap::new(),
        apps: vec![app(Some(Run::Running), false), app(Some(Run::Stopped), true), app(None, false), app(Some(Run::Failing), true)],
        catalog: offers.iter().map(offer).collect(),
        given: BTreeSet::new(),
        found: Ok([None, Some(AppSource::default())].map(found_app).into()),
        signed: vec![catalogs::tests::details("wiki")],
        origins: std::collections::BTreeMap::new(),
        own: own_views().into(),
        jobs: vec![super::super::jobs::tests::job(7, 1)],
        host: "garden.local".to_owned(),
    };
    let ports = || [("mqtt", 1884), ("web", 80)].map(|(name, port)| (name.to_owned(), PortView { port, scheme: "http".to_owned() })).into();
    let change = Changeable { facts: mosquitto().into(), ports: ports(), settings: [].into(), publication: None, revision: 7 };
    let one = app(Some(Run::Running), true);
    let update = crate::apps::an_update();
    let details = |on: bool| apps::Details {
        app: &one,
        change: Some(&change),
        update: on.then_some(Ok(&update)),
        shared: false,
        log: Ok("x"),
        uses: None,
    };
    html! {
        (apps::body(view, &shown, Some("x"))) (apps::one(view, &details(false), None)) (apps::one(view, &details(true), None))
        (apps::install(view, &Face { name: "wiki".to_owned(), ..mosquitto() }, &ports(), None)) (apps::remove(view, &one))
    }
}

fn catalog_pages(view: &View<'_>) -> Markup {
    let all = [true, false].map(|followed| CatalogInfo { key: "wiki".to_owned(), ..some_catalog(followed) });
    html! { (catalogs::body(view, &all, Some("x"))) (catalogs::body(view, &[], None)) }
}

fn cloud_pages(view: &View<'_>) -> Markup {
    let me = Me { id: String::new(), name: "one".to_owned(), version: String::new(), addresses: Vec::new(), epoch: 0 };
    let with = |community| {
        let (lan, me) = (Default::default(), me.clone());
        ClusterView { me, community, members: members(), lan, ..ClusterView::default() }
    };
    let inside = |door| {
        with(Some(CommunityView { id: String::new(), name: "Home".to_owned(), can_invite: true, founder: true, removed: Vec::new(), door }))
    };
    html! {
        (cloud::body(view, &with(None), None, Some("x")))
        (cloud::body(view, &words::tests::outside_view(Some(words::tests::compare(false))), None, None))
        (cloud::body(view, &words::tests::outside_view(None), None, None))
        (cloud::body(view, &ClusterView { newcomers: vec![words::tests::newcomer("attic")], ..inside(Door::Closed) }, None, None))
        (cloud::body(view, &inside(Door::Closed), Some(cloud::Made::Kit("x")), None))
        (cloud::body(view, &inside(Door::Open), Some(cloud::Made::Invite("x")), None))
    }
}

fn household_pages(view: &View<'_>) -> Markup {
    use household::tests::shown;
    let node = &shown(true).nodes[0];
    let app = |run| AppView { name: "wiki".to_owned(), run: Some(run), ..AppView::default() };
    html! {
        (household::body(view, &shown(false), &members(), None, Some("x")))
        (household::body(view, &shown(true), &members(), Some("x"), None))
        (household::one(view, node, Ok(&[app(Run::Running), app(Run::Stopped)]), Some("x"))) (household::one(view, node, Ok(&[]), None))
        (household::one(view, node, Err("x"), None))
    }
}

fn people_pages(view: &View<'_>) -> Markup {
    let user = |name: &str, role| UserView { name: name.to_owned(), role, revision: 7 };
    let token = Token { id: 3, user: "ana".to_owned(), scope: Scope::Read, label: String::new() };
    html! {
        (people::login(view, "ana", Some("x")))
        @for way in [Way::Open, Way::Code, Way::Owned, Way::Unsure] { (people::claim(view, way, "", None)) }
        (people::users(view, &[user("ana", Role::Owner), user("ben", Role::Guest)], None))
        (people::account(view, &[token], Some("x"), None))
    }
}

/// All that pages show, in each of their states that has another form or link.
fn all_pages(view: &View<'_>) -> String {
    let service = Service { title: "Wiki".to_owned(), port: Some(8080), ..Service::default() };
    let open = ["http", "mqtt"].map(tunnels::tests::open);
    let hides = [false, true].map(|all| hidden::tests::hidden(Some(hidden::tests::mark(true, all))));
    let services = std::iter::once(Listed { service, ..Listed::default() }).chain(hides).collect();
    let found = Page { services, next: Some("x".to_owned()), admin: true };
    let muted = [None, Some("wiki".to_owned())].map(|key| MutedView { key, ..MutedView::default() });
    let without = [Docker::Stopped { unit: "failed".to_owned() }, Docker::Silent { reason: "x".to_owned() }].map(without_docker);
    let document = serde_json::from_slice(&super::super::browse::text().unwrap()).unwrap();
    let body = html! {
        (home::body(view, &well(), (None, &household::tests::shown(true)), &found, &[AppView { name: "wiki".to_owned(), ..AppView::default() }]))
        @for status in &without { (home::body(view, status, (None, &household::tests::shown(false)), &found, &[])) }
        (search::body(view, &Search::default(), Ok(&found), &open, None)) (search::body(view, &Search::default(), Err("x"), &[], Some("x"))) (search::alone(view))
        @for tunnel in &open { (tunnels::one(view, tunnel)) }
        (app_pages(view)) (catalog_pages(view)) (household_pages(view)) (own_pages(view)) (cloud_pages(view)) (people_pages(view)) @if view.caller.may(Operation::Account) { (hidden::muted(view, &muted)) } (api::body(view, &document)) (settings::body(view, &settings::tests::shown(), &[], Some("x"))) (storage::body(view, &storage::tests::shown(), Some("x"))) (settings::where_is_it(view)) (setup::tests::all(view)) (help::body(view)) (jobs::body(view, &jobs::tests::shown())) (backups::body(view, &backups::tests::shown(None), None, Some("x"))) (backups::body(view, &backups::tests::shown(Some("x")), None, None)) (encrypted::body(view, &encrypted::tests::shown(false), "garden", Some("x"))) (by_hand::without(view)) (by_hand::body(view, &by_hand::tests::shown(), Some("x"))) (by_hand::one(view, &by_hand::tests::looked(false), Some("x"))) (by_hand::one(view, &by_hand::tests::looked(true), None)) (leases::body(view, &leases::tests::shown(true), Some("x"))) (leases::body(view, &leases::tests::shown(false), None)) (leases::form(view, &mosquitto(), &leases::tests::shown(true).nodes, Some("x"))) (leases::form(view, &mosquitto(), &[], None)) (files::body(view, &files::tests::shown("wiki", "x"), Some("x"))) (not_done(view.lang, "x"))
    };
    page(view, "/", Some("/body"), &body).into_string()
}

/// Tags of a page with their attributes, in order: enough of HTML for what our own templates write.
fn tags(html: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
    html.split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>').map(|(inside, _)| inside))
        .map(|inside| {
            let (name, mut rest) = inside.split_once(' ').unwrap_or((inside, ""));
            let mut attributes = Vec::new();
            while !rest.trim().is_empty() {
                let rest_trimmed = rest.trim_start();
                let (key, after) = rest_trimmed.split_at(rest_trimmed.find(['=', ' ']).unwrap_or(rest_trimmed.len()));
                match after.strip_prefix("=\"").and_then(|after| after.split_once('"')) {
                    Some((value, after)) => {
                        attributes.push((key, value));
                        rest = after;
                    }
                    None => {
                        attributes.push((key, ""));
                        rest = after;
                    }
                }
            }
            (name, attributes)
        })
        .collect()
}

fn attribute<'a>(attributes: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
}

/// What a form does, with the names of apps and users taken out.
fn named(path: &str) -> String {
    let disk = |part: &str| part.len() == 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let port = |part: &str| part.len() == 5 && part.bytes().all(|byte| byte.is_ascii_digit());
    let part = |part| {
        if disk(part) {
            "{disk}"
        } else if part.len() == 64 {
            "{node}"
        } else if port(part) {
            "{port}"
        } else {
            part
        }
    };
    let path = path.split('/').map(part).collect::<Vec<_>>().join("/");
    ["wiki", "mosquitto", "ana", "ben"].iter().fold(path, |path, name| path.replace(&format!("/{name}"), "/{name}"))
}

/// Forms of a page. A button that is in none, or that leads elsewhere than its form, is none of ours.
fn forms(html: &str) -> Vec<(String, String)> {
    let (mut found, mut inside) = (Vec::new(), false);
    for (tag, attributes) in tags(html) {
        match tag {
            "form" => {
                assert!(!inside, "a form in a form");
                let method = attribute(&attributes, "method").unwrap_or("get").to_lowercase();
                found.push((method, named(attribute(&attributes, "action").expect("a form says where it goes"))));
                inside = true;
            }
            "/form" => inside = false,
            "button" => assert!(inside, "a button in no form does nothing without scripts: {attributes:?}"),
            "input" => assert!(inside, "a field in no form: {attributes:?}"),
            _ => {}
        }
        for elsewhere in ["formaction", "formmethod", "onclick", "onsubmit"] {
            assert!(attribute(&attributes, elsewhere).is_none(), "{tag} {elsewhere}");
        }
    }
    found
}

/// An ordinary member, and an admin.
fn members() -> Vec<MemberView> {
    [false, true].map(|admin| MemberView { admin, removable: true, state: Liveness::Down, ..MemberView::default() }).into()
}

fn route(method: &str, path: &str) -> Option<&'static Route> {
    let parts = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let fits = |route: &str| {
        let (route, path) = (parts(route), parts(path));
        route.len() == path.len() && route.iter().zip(&path).all(|(route, said)| route == said || route.starts_with('{'))
    };
    let mut found: Vec<&Route> = TABLE.iter().filter(|route| route.method == method.to_uppercase() && fits(route.path)).collect();
    found.sort_by_key(|route| route.path.matches('{').count());
    found.first().copied()
}

#[test]
fn each_form_of_each_page_equals_an_operation_of_the_api_for_the_same_people() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/pages")).unwrap();
    let mut files: Vec<String> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, PAGES, "show it in `all_pages`, and say here that there is such a page");

    let mut seen = BTreeSet::new();
    for (role, owned) in [(None, true), (None, false), (Some(Role::Guest), true), (Some(Role::Operator), true), (Some(Role::Owner), true)] {
        let caller = caller(role);
        seen.extend(forms(&all_pages(&View { node: "garden", lang: Lang::En, caller: &caller, owned })));
    }
    for (method, action) in &seen {
        assert!(EQUALS.iter().any(|(m, a, _)| m == method && a == action), "the form {method} {action} equals no operation of the API");
    }
    for (method, action, id) in EQUALS {
        assert!(seen.contains(&(method.to_owned(), action.to_owned())), "no page has the form {method} {action} any more");
        let operation = TABLE.iter().find(|route| route.is_api() && route.id == id);
        let operation = operation.unwrap_or_else(|| panic!("{method} {action}: the API has no operation {id}"));
        let form = route(method, action).unwrap_or_else(|| panic!("{method} {action} is not served"));
        assert_eq!(form.operation, operation.operation, "{method} {action} and {id} are for the same people");
    }
    for form in TABLE.iter().filter(|route| !route.is_api() && route.method != "GET") {
        assert!(EQUALS.iter().any(|(method, action, _)| route(method, action) == Some(form)), "{form:?} equals no operation of the API");
    }
}

#[test]
fn each_link_of_each_page_leads_to_a_page() {
    let caller = caller(Some(Role::Owner));
    let html = all_pages(&View { node: "garden", lang: Lang::En, caller: &caller, owned: true });
    let mut links = 0;
    for (_, attributes) in tags(&html) {
        for name in ["href", "src", "data-fresh", "data-events"] {
            let Some(path) = attribute(&attributes, name).filter(|path| path.starts_with('/')) else { continue };
            let path = path.split(['?', '#']).next().unwrap_or_default();
            assert!(route("GET", path).is_some(), "{path} leads nowhere");
            links += 1;
        }
    }
    assert!(links > 20);
}

/// What people are led to in a browser (`cargo xtask pages`) are all pages.
#[test]
fn somebody_goes_to_each_page_in_a_browser() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/pages.toml");
    let plan: toml::Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
    let listed: BTreeSet<&str> = plan["pages"].as_array().unwrap().iter().map(|page| page.as_str().unwrap()).collect();
    // Parts of pages, and what pages are made with.
    let part = |path: &str| path.ends_with("/body") || path.contains('.');
    let pages = TABLE.iter().filter(|route| route.method == "GET" && route.side() == Side::Network && !part(route.path));
    assert_eq!(listed, pages.map(|route| route.path).collect::<BTreeSet<_>>(), "{file}");
}

#[test]
fn a_form_that_nobody_knows_is_noticed() {
    let html = "<form method=\"post\" action=\"/apps/wiki/erase\"><input name=\"a\" required><button>x</button></form>";
    assert_eq!(forms(html), [("post".to_owned(), "/apps/{name}/erase".to_owned())]);
    assert!(std::panic::catch_unwind(|| forms("<button>x</button>")).is_err());
    assert!(std::panic::catch_unwind(|| forms("<form action=\"/a\"><button formaction=\"/b\">x</button></form>")).is_err());
}
