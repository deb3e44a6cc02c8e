//! What each route is, for the table of who may do what. What does not stand here is not there, for anybody.

use crate::limits::{HTTP_BODY_BYTES, OWN_APP_BODY_BYTES};
use crate::users::Operation;
use axum::http::Method;

use Operation::{Account, Enter, Inspect, Leave, Local, Look, Operate, Own, Store};

/// Method and path, as the router has them, of everything that is served.
pub const TABLE: &[(&str, &str, Operation)] = &[
    // The page.
    ("GET", "/", Look),
    ("GET", "/body", Look),
    ("GET", "/search", Look),
    ("GET", "/style.css", Look),
    ("GET", "/page.js", Look),
    ("GET", "/icon.svg", Look),
    ("GET", "/login", Look),
    ("POST", "/login", Enter),
    ("POST", "/logout", Leave),
    ("GET", "/claim", Look),
    ("POST", "/claim", Enter),
    ("GET", "/apps", Look),
    ("GET", "/apps/body", Look),
    ("GET", "/apps/{name}", Inspect),
    ("GET", "/apps/{name}/{action}", Operate),
    ("POST", "/apps/{name}/{action}", Operate),
    ("GET", "/own-form", Operate),
    ("POST", "/own-form", Operate),
    ("GET", "/own-compose", Operate),
    ("POST", "/own-compose", Operate),
    ("GET", "/own/{name}", Operate),
    ("POST", "/own/{name}/remove", Operate),
    ("POST", "/own/{name}/grant", Own),
    ("GET", "/account", Account),
    ("POST", "/account/{action}", Account),
    ("GET", "/microcloud", Own),
    ("GET", "/microcloud/body", Own),
    ("POST", "/microcloud/{action}", Own),
    ("GET", "/users", Own),
    ("POST", "/users", Own),
    ("POST", "/users/{name}/{action}", Own),
    // Reading.
    ("GET", "/metrics", Look),
    ("GET", "/api/v1/status", Look),
    ("GET", "/api/v1/nodes", Look),
    ("GET", "/api/v1/services", Look),
    ("GET", "/api/v1/view", Look),
    ("GET", "/api/v1/watch", Look),
    ("GET", "/api/v1/apps", Look),
    ("GET", "/api/v1/apps/{name}", Look),
    // Apps.
    ("GET", "/api/v1/catalog", Inspect),
    ("POST", "/api/v1/catalog", Own),
    ("DELETE", "/api/v1/catalog/{name}", Own),
    ("GET", "/api/v1/own-apps", Inspect),
    ("GET", "/api/v1/own-apps/{name}", Inspect),
    ("PUT", "/api/v1/own-apps/{name}", Operate),
    ("DELETE", "/api/v1/own-apps/{name}", Operate),
    ("PUT", "/api/v1/own-apps/{name}/grants", Own),
    ("POST", "/api/v1/apps/{name}", Operate),
    ("PUT", "/api/v1/apps/{name}", Operate),
    ("DELETE", "/api/v1/apps/{name}", Operate),
    ("POST", "/api/v1/apps/{name}/{action}", Operate),
    ("GET", "/api/v1/apps/{name}/settings", Inspect),
    ("GET", "/api/v1/apps/{name}/logs", Inspect),
    ("PUT", "/api/v1/apps/{name}/publication", Operate),
    ("DELETE", "/api/v1/apps/{name}/publication", Operate),
    ("GET", "/api/v1/jobs", Inspect),
    ("GET", "/api/v1/jobs/{id}", Inspect),
    // Users.
    ("GET", "/api/v1/session", Look),
    ("POST", "/api/v1/session", Enter),
    ("DELETE", "/api/v1/session", Leave),
    ("POST", "/api/v1/claim", Enter),
    ("PUT", "/api/v1/account/password", Account),
    ("DELETE", "/api/v1/account/sessions", Account),
    ("GET", "/api/v1/account/tokens", Account),
    ("POST", "/api/v1/account/tokens", Account),
    ("DELETE", "/api/v1/account/tokens/{id}", Account),
    ("GET", "/api/v1/users", Own),
    ("POST", "/api/v1/users", Own),
    ("DELETE", "/api/v1/users/{name}", Own),
    ("PUT", "/api/v1/users/{name}/role", Own),
    ("PUT", "/api/v1/users/{name}/password", Own),
    ("GET", "/api/v1/users/{name}/tokens", Own),
    ("POST", "/api/v1/users/{name}/tokens", Own),
    ("DELETE", "/api/v1/users/{name}/tokens/{id}", Own),
    ("GET", "/api/v1/claim-code", Local),
    // The microcloud and units.
    ("POST", "/api/v1/found", Own),
    ("POST", "/api/v1/invite", Own),
    ("POST", "/api/v1/join", Own),
    ("POST", "/api/v1/rename", Own),
    ("POST", "/api/v1/leave", Own),
    ("POST", "/api/v1/door", Own),
    ("POST", "/api/v1/unit", Own),
    ("POST", "/api/v1/services", Own),
    ("PUT", "/api/v1/services/{key}", Own),
    ("DELETE", "/api/v1/services/{key}", Own),
    // What stays with the local socket.
    ("GET", "/api/v1/doctor", Local),
    ("POST", "/api/v1/kit", Local),
    ("GET", "/api/v1/install", Local),
    ("POST", "/api/v1/install", Local),
    ("GET", "/api/v1/store", Local),
    ("GET", "/api/v1/store-own/{label}", Local),
    ("POST", "/api/v1/store-token/{app}", Local),
    ("DELETE", "/api/v1/store-token/{app}", Local),
    ("GET", "/api/v1/store-writers/{app}", Local),
    ("PUT", "/api/v1/store-writers/{app}", Local),
    // The store for apps.
    ("GET", "/api/v1/store/{app}", Store),
    ("POST", "/api/v1/store/{app}", Store),
    ("GET", "/api/v1/store/{app}/{*key}", Store),
    ("PUT", "/api/v1/store/{app}/{*key}", Store),
    ("POST", "/api/v1/store/{app}/{*key}", Store),
    ("DELETE", "/api/v1/store/{app}/{*key}", Store),
];

/// Bytes of a form's body at most: compose files are longer than all else that is typed.
pub fn form_bytes(route: &str) -> usize {
    if matches!(route, "/own-form" | "/own-compose") { OWN_APP_BODY_BYTES } else { HTTP_BODY_BYTES }
}

/// What a request is, by its method and the route that the router found.
pub fn operation(method: &Method, route: &str) -> Option<Operation> {
    // The router answers HEAD where there is GET.
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    TABLE.iter().find(|(m, path, _)| *m == method && *path == route).map(|(_, _, operation)| *operation)
}
