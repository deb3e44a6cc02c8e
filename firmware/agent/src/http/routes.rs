//! Everything that is served: one table. The routers are made of it, `allow` looks up in it who may, and the API's document
//! (`openapi`) is made of it. What does not stand here is not there, for anybody.

use super::{
    apps, at, backups, blobs, browse, by_hand, catalogs, changes, encrypted, follow, forms, hidden, household, jobs, leases, muted, nodes,
    own, services, settings, setup, shared_apps, storage, store, tunnels, users, words,
};
use crate::limits::{HTTP_BODY_BYTES, OWN_APP_BODY_BYTES};
use crate::state::App;
use crate::users::Operation;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use std::sync::Arc;

/// Something that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name in the API's document: the operation's id.
    pub id: &'static str,
    /// The method. HEAD is answered where there is GET.
    pub method: &'static str,
    /// The path, as the router has it.
    pub path: &'static str,
    /// What it is, for the table of who may do what.
    pub operation: Operation,
    /// Whether an `Idempotency-Key` is looked at.
    pub once: Once,
}

/// Whether a request that says an `Idempotency-Key` is done once only, and how its answer is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Once {
    /// It is no such request: it changes nothing, or doing it again changes nothing more, or what comes of it is of this one answer.
    No,
    /// Its answer is kept.
    Kept,
    /// There is a secret in its answer, which is kept in memory alone.
    Secret,
}

/// Where something is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// On the network: pages.
    Network,
    /// On the local socket: what stays with the node.
    Local,
    /// On both: the API.
    Both,
}

impl Route {
    /// Whether it is the API's, and not a page's.
    pub fn is_api(&self) -> bool {
        self.path.starts_with("/api/") || self.path == "/metrics"
    }

    /// Where it is served.
    pub fn side(&self) -> Side {
        match self.operation {
            Operation::Local => Side::Local,
            _ if self.is_api() => Side::Both,
            _ => Side::Network,
        }
    }
}

macro_rules! routes {
    ($($id:ident $method:ident $path:literal $operation:ident $once:ident $handler:path;)*) => {
        /// Everything that is served.
        pub const TABLE: &[Route] = &[$(Route {
            id: stringify!($id),
            method: stringify!($method),
            path: $path,
            operation: Operation::$operation,
            once: Once::$once,
        }),*];

        fn handlers() -> impl Iterator<Item = MethodRouter<Arc<App>>> {
            [$(on(MethodFilter::$method, $handler)),*].into_iter()
        }
    };
}

routes! {
    // The page.
    page_home            GET    "/"                                   Look    No forms::show_home;
    page_home_body       GET    "/body"                               Look    No forms::show_home_body;
    page_search          GET    "/search"                             Look    No forms::show_search;
    page_tunnel          GET    "/tunnels/{port}"                     Reach   No forms::tunnels::show;
    page_tunnel_send     POST   "/tunnels"                            Reach   No forms::tunnels::open;
    page_tunnel_close    POST   "/tunnels/{port}/close"               Operate No forms::tunnels::close;
    page_hidden_send     POST   "/hidden/{action}"                    Own     No forms::hidden::act;
    page_muted_send      POST   "/muted/{action}"                     Account No forms::hidden::act_for_oneself;
    page_docker_send     POST   "/docker/{action}"                    Operate No forms::act_on_docker;
    page_help            GET    "/help"                               Look    No forms::show_help;
    page_files           GET    "/files"                              Look    No forms::files::show;
    page_files_body      GET    "/files/body"                         Look    No forms::files::show_body;
    page_file_send       POST   "/files/{hash}/{action}"              Operate No forms::files::act;
    page_upload_script   GET    "/upload.js"                          Look    No super::upload_script;
    page_style           GET    "/style.css"                          Look    No super::style;
    page_script          GET    "/page.js"                            Look    No super::script;
    page_icon            GET    "/icon.svg"                           Look    No super::icon;
    page_api             GET    "/api"                                Look    No browse::show;
    page_login           GET    "/login"                              Look    No forms::people::show_login;
    page_login_send      POST   "/login"                              Enter   No forms::people::login;
    page_logout_send     POST   "/logout"                             Leave   No forms::people::logout;
    page_claim           GET    "/claim"                              Look    No forms::people::show_claim;
    page_claim_send      POST   "/claim"                              Enter   No forms::people::claim;
    page_apps            GET    "/apps"                               Look    No forms::apps::show;
    page_apps_body       GET    "/apps/body"                          Look    No forms::apps::show_body;
    page_app             GET    "/apps/{name}"                        Inspect No forms::apps::show_one;
    page_app_ask         GET    "/apps/{name}/{action}"               Operate No forms::apps::ask;
    page_app_send        POST   "/apps/{name}/{action}"               Operate No forms::apps::act;
    page_jobs            GET    "/jobs"                               Inspect No forms::jobs::show;
    page_jobs_body       GET    "/jobs/body"                          Inspect No forms::jobs::show_body;
    page_setup           GET    "/setup"                              Own     No forms::setup::go_on;
    page_setup_step      GET    "/setup/{step}"                       Own     No forms::setup::show;
    page_setup_body      GET    "/setup/{step}/body"                  Own     No forms::setup::show_body;
    page_setup_send      POST   "/setup/{step}"                       Own     No forms::setup::act;
    page_found_send      POST   "/found-apps/{hash}/{action}"         Own     No forms::found::fetch;
    page_catalogs        GET    "/catalogs"                           Inspect No forms::catalogs::show;
    page_catalogs_body   GET    "/catalogs/body"                      Inspect No forms::catalogs::show_body;
    page_catalogs_send   POST   "/catalogs"                           Own     No forms::catalogs::follow;
    page_catalog_send    POST   "/catalogs/{key}/{action}"            Own     No forms::catalogs::act;
    page_catalog_get     POST   "/catalogs/{key}/{name}/{action}"     Own     No forms::catalogs::get;
    page_backups         GET    "/backups"                            Operate No forms::backups::show;
    page_backups_send    POST   "/backups/{action}"                   Own     No forms::backups::act;
    page_restore_send    POST   "/backups/{hash}/restore"             Own     No forms::backups::restore;
    page_leases          GET    "/leases"                             Own     No forms::leases::show;
    page_leases_body     GET    "/leases/body"                        Own     No forms::leases::show_body;
    page_lease_form      GET    "/leases/offer/{name}"                Own     No forms::leases::show_form;
    page_lease_form_send POST   "/leases/offer/{name}"                Own     No forms::leases::offer;
    page_lease_send      POST   "/leases/{id}/{action}"               Own     No forms::leases::act;
    page_policy_send     POST   "/lease-policy"                       Own     No forms::leases::set_policy;
    page_replicas_send   POST   "/replicas/{name}"                    Own     No forms::leases::set_replicas;
    page_account         GET    "/account"                            Account No forms::people::show_account;
    page_account_send    POST   "/account/{action}"                   Account No forms::people::act_on_account;
    page_cloud           GET    "/microcloud"                         Own     No forms::cloud::show;
    page_cloud_body      GET    "/microcloud/body"                    Own     No forms::cloud::show_body;
    page_cloud_send      POST   "/microcloud/{action}"                Own     No forms::cloud::act;
    page_household       GET    "/household"                          Inspect No forms::household::show;
    page_household_body  GET    "/household/body"                     Inspect No forms::household::show_body;
    page_household_send  POST   "/household/{action}"                 Own     No forms::household::act;
    page_household_node  GET    "/household/nodes/{node}"             Inspect No forms::household::show_one;
    page_household_there POST   "/household/nodes/{node}/{app}/{action}" Inspect No forms::household::act_there;
    page_users           GET    "/users"                              Own     No forms::people::show_users;
    page_users_send      POST   "/users"                              Own     No forms::people::add_user;
    page_user_send       POST   "/users/{name}/{action}"              Own     No forms::people::act_on_user;
    page_settings        GET    "/settings"                           Own     No forms::settings::show;
    page_settings_send   POST   "/settings/{action}"                  Own     No forms::settings::act;
    page_storage         GET    "/storage"                            Own     No forms::storage::show;
    page_storage_body    GET    "/storage/body"                       Own     No forms::storage::show_body;
    page_storage_send    POST   "/storage/{action}"                   Own     No forms::storage::act;
    page_disk_send       POST   "/storage/{id}/{action}"              Own     No forms::storage::act_on_one;
    page_encrypted       GET    "/encrypted"                          Look    No forms::encrypted::show;
    page_encrypted_send  POST   "/encrypted"                          Own     No forms::encrypted::choose_only;
    page_root            GET    "/root.crt"                           Look    No encrypted::root;
    page_log_script      GET    "/log.js"                             Look    No super::log_script;
    page_zone_script     GET    "/zone.js"                            Look    No super::zone_script;
    page_own_form        GET    "/own-form"                           Operate No forms::own::show_form;
    page_own_form_send   POST   "/own-form"                           Operate No forms::own::save_form;
    page_own_compose     GET    "/own-compose"                        Operate No forms::own::show_compose;
    page_own_compose_send POST  "/own-compose"                        Operate No forms::own::save_compose;
    page_own             GET    "/own/{name}"                         Operate No forms::own::show_one;
    page_own_remove_send POST   "/own/{name}/remove"                  Operate No forms::own::forget;
    page_own_grant_send  POST   "/own/{name}/grant"                   Own     No forms::own::grant;
    page_by_hand         GET    "/by-hand"                            Operate No forms::by_hand::show;
    page_by_hand_one     GET    "/by-hand/{id}"                       Operate No forms::by_hand::show_one;
    page_by_hand_adopt   POST   "/by-hand/{id}/adopt"                 Own     No forms::by_hand::adopt;
    page_by_hand_remove  POST   "/by-hand/containers/{id}/remove"     Own     No forms::by_hand::remove;
    page_by_hand_image   POST   "/by-hand/images/{id}/remove"         Own     No forms::by_hand::remove_image;
    page_by_hand_volume  POST   "/by-hand/volumes/{name}/remove"      Own     No forms::by_hand::remove_volume;
    // Reading.
    metrics              GET    "/metrics"                            Look    No super::show_metrics;
    openapi              GET    "/api/v1/openapi.json"                Look    No browse::document;
    status               GET    "/api/v1/status"                      Look    No super::show_status;
    nodes                GET    "/api/v1/nodes"                       Look    No nodes::show;
    services             GET    "/api/v1/services"                    Look    No services::search;
    hidden               GET    "/api/v1/hidden"                      Look    No hidden::list;
    view                 GET    "/api/v1/view"                        Look    No services::agreement;
    watch                GET    "/api/v1/watch"                       Look    No services::watch;
    apps                 GET    "/api/v1/apps"                        Look    No apps::list;
    app                  GET    "/api/v1/apps/{name}"                 Look    No apps::one;
    // Apps.
    catalog              GET    "/api/v1/catalog"                     Inspect No apps::list_catalog;
    catalog_add          POST   "/api/v1/catalog"                     Own     No apps::add;
    catalog_forget       DELETE "/api/v1/catalog/{name}"              Own     No apps::forget;
    catalog_share        POST   "/api/v1/catalog/{name}/share"        Operate No shared_apps::share;
    found_apps           GET    "/api/v1/found-apps"                  Inspect No shared_apps::list;
    found_app_fetch      POST   "/api/v1/found-apps/{hash}"           Own     No shared_apps::fetch;
    catalogs             GET    "/api/v1/catalogs"                    Inspect No catalogs::list;
    catalogs_add         POST   "/api/v1/catalogs"                    Own     No catalogs::add;
    catalogs_one         GET    "/api/v1/catalogs/{key}"              Inspect No catalogs::one;
    catalogs_follow      PUT    "/api/v1/catalogs/{key}"              Own     No catalogs::follow;
    catalogs_unfollow    DELETE "/api/v1/catalogs/{key}"              Own     No catalogs::unfollow;
    catalogs_get         POST   "/api/v1/catalogs/{key}/apps/{name}"  Own     No catalogs::get;
    catalogs_publish     PUT    "/api/v1/own-catalogs/{name}"         Own     No catalogs::publish;
    catalogs_give_up     DELETE "/api/v1/own-catalogs/{name}"         Own     No catalogs::give_up;
    app_install          POST   "/api/v1/apps/{name}"                 Operate Kept apps::install;
    app_change           PUT    "/api/v1/apps/{name}"                 Operate No apps::change;
    app_remove           DELETE "/api/v1/apps/{name}"                 Operate No apps::remove;
    app_act              POST   "/api/v1/apps/{name}/{action}"        Operate Kept apps::act;
    app_settings         GET    "/api/v1/apps/{name}/settings"        Inspect No apps::settings;
    app_changes          GET    "/api/v1/apps/{name}/changes"         Inspect No apps::changes;
    app_logs             GET    "/api/v1/apps/{name}/logs"            Inspect No apps::logs;
    app_logs_events      GET    "/api/v1/apps/{name}/logs/events"     Inspect No follow::logs;
    app_uses             GET    "/api/v1/app-uses"                    Inspect No follow::uses;
    app_publish          PUT    "/api/v1/apps/{name}/publication"     Operate No apps::publish;
    app_withdraw         DELETE "/api/v1/apps/{name}/publication"     Operate No apps::withdraw;
    app_move             POST   "/api/v1/apps/{name}/move"            Own     Kept storage::move_app;
    app_backup           POST   "/api/v1/apps/{name}/backup"          Operate Kept backups::make;
    backups              GET    "/api/v1/backups"                     Inspect No backups::list;
    backup_restore       POST   "/api/v1/backups/{hash}/restore"      Own     Kept backups::restore;
    backup_key           GET    "/api/v1/backup-key"                  Inspect No backups::key;
    backup_key_make      POST   "/api/v1/backup-key"                  Own     Secret backups::make_key;
    backup_key_set       PUT    "/api/v1/backup-key"                  Own     No backups::set_key;
    leases               GET    "/api/v1/leases"                      Inspect No leases::list;
    lease_offer          POST   "/api/v1/leases"                      Own     Kept leases::offer;
    lease_decide         PUT    "/api/v1/leases/{id}"                 Own     No leases::decide;
    lease_policy_set     PUT    "/api/v1/lease-policy"                Own     No leases::set_policy;
    replicas_set         PUT    "/api/v1/replicas/{name}"             Own     No leases::set_replicas;
    jobs                 GET    "/api/v1/jobs"                        Inspect No jobs::list;
    jobs_events          GET    "/api/v1/jobs/events"                 Inspect No jobs::events;
    job                  GET    "/api/v1/jobs/{id}"                   Inspect No jobs::one;
    job_events           GET    "/api/v1/jobs/{id}/events"            Inspect No jobs::events_of_one;
    own_apps             GET    "/api/v1/own-apps"                    Inspect No own::list;
    own_app              GET    "/api/v1/own-apps/{name}"             Inspect No own::one;
    own_app_save         PUT    "/api/v1/own-apps/{name}"             Operate No own::save;
    own_app_forget       DELETE "/api/v1/own-apps/{name}"             Operate No own::forget;
    own_app_grant        PUT    "/api/v1/own-apps/{name}/grants"      Own     No own::grant;
    by_hand              GET    "/api/v1/by-hand"                     Inspect No by_hand::list;
    by_hand_container    GET    "/api/v1/by-hand/containers/{id}"     Inspect No by_hand::one;
    by_hand_adopt        POST   "/api/v1/by-hand/containers/{id}"     Own     Kept by_hand::adopt;
    by_hand_remove       DELETE "/api/v1/by-hand/containers/{id}"     Own     No by_hand::remove;
    by_hand_image_remove DELETE "/api/v1/by-hand/images/{id}"         Own     No by_hand::remove_image;
    by_hand_volume_remove DELETE "/api/v1/by-hand/volumes/{name}"     Own     No by_hand::remove_volume;
    // Blobs.
    blobs                GET    "/api/v1/blobs"                       Look    No blobs::list;
    blob_add             POST   "/api/v1/blobs"                       Operate No blobs::add;
    blob                 GET    "/api/v1/blobs/{hash}"                Inspect No blobs::one;
    blob_fetch           POST   "/api/v1/blobs/{hash}"                Operate No blobs::fetch;
    blob_change          PUT    "/api/v1/blobs/{hash}"                Operate No blobs::change;
    blob_remove          DELETE "/api/v1/blobs/{hash}"                Operate No blobs::remove;
    blob_content         GET    "/api/v1/blobs/{hash}/content"        Inspect No blobs::content;
    blob_quota           GET    "/api/v1/blob-quota"                  Inspect No blobs::quota;
    blob_quota_set       PUT    "/api/v1/blob-quota"                  Own     No blobs::set_quota;
    // Users.
    session              GET    "/api/v1/session"                     Look    No users::session;
    login                POST   "/api/v1/session"                     Enter   No users::login;
    logout               DELETE "/api/v1/session"                     Leave   No users::logout;
    claim                POST   "/api/v1/claim"                       Enter   No users::claim;
    own_password         PUT    "/api/v1/account/password"            Account No users::own_password;
    end_sessions         DELETE "/api/v1/account/sessions"            Account No users::end_sessions;
    own_tokens           GET    "/api/v1/account/tokens"              Account No users::own_tokens;
    own_token_make       POST   "/api/v1/account/tokens"              Account Secret users::make_own_token;
    own_token_revoke     DELETE "/api/v1/account/tokens/{id}"         Account No users::revoke_own_token;
    muted                GET    "/api/v1/account/muted"               Account No muted::list;
    mute_node            PUT    "/api/v1/account/muted/{node}"        Account No muted::mute_node;
    mute_service         PUT    "/api/v1/account/muted/{node}/{key}"  Account No muted::mute_service;
    unmute_node          DELETE "/api/v1/account/muted/{node}"        Account No muted::unmute_node;
    unmute_service       DELETE "/api/v1/account/muted/{node}/{key}"  Account No muted::unmute_service;
    users                GET    "/api/v1/users"                       Own     No users::list;
    user_add             POST   "/api/v1/users"                       Own     Kept users::add;
    user                 GET    "/api/v1/users/{name}"                Own     No users::one;
    user_remove          DELETE "/api/v1/users/{name}"                Own     No users::remove;
    user_role            PUT    "/api/v1/users/{name}/role"           Own     No users::set_role;
    user_password        PUT    "/api/v1/users/{name}/password"       Own     No users::set_password;
    user_tokens          GET    "/api/v1/users/{name}/tokens"         Own     No users::tokens;
    user_token_make      POST   "/api/v1/users/{name}/tokens"         Own     Secret users::make_token;
    user_token_revoke    DELETE "/api/v1/users/{name}/tokens/{id}"    Own     No users::revoke_token;
    claim_code           GET    "/api/v1/claim-code"                  Local   No users::claim_code;
    // The microcloud and units.
    found                POST   "/api/v1/found"                       Own     Secret changes::found;
    invite               POST   "/api/v1/invite"                      Own     Secret changes::invite;
    join                 POST   "/api/v1/join"                        Own     Kept changes::join;
    rename               POST   "/api/v1/rename"                      Own     Kept changes::rename;
    leave                POST   "/api/v1/leave"                       Own     Kept changes::leave;
    revoke               POST   "/api/v1/revoke"                      Own     Kept changes::revoke;
    replace              POST   "/api/v1/replace"                     Own     Secret changes::replace;
    appoint              POST   "/api/v1/appoint"                     Own     Kept changes::appoint;
    dismiss              POST   "/api/v1/dismiss"                     Own     Kept changes::dismiss;
    door                 POST   "/api/v1/door"                        Own     Kept changes::door;
    asking               GET    "/api/v1/asking"                      Own     No words::show;
    asking_begin         POST   "/api/v1/asking"                      Own     Kept words::ask;
    asking_same          PUT    "/api/v1/asking"                      Own     No words::same;
    asking_stop          DELETE "/api/v1/asking"                      Own     No words::stop;
    newcomers            GET    "/api/v1/newcomers"                   Own     No words::list;
    newcomer_decide      PUT    "/api/v1/newcomers/{node}"            Own     No words::decide;
    setup                GET    "/api/v1/setup"                       Own     No setup::show;
    setup_set            PUT    "/api/v1/setup/{step}"                Own     No setup::set;
    settings             GET    "/api/v1/settings"                    Own     No settings::show;
    settings_set         PUT    "/api/v1/settings"                    Own     No settings::set;
    https                GET    "/api/v1/https"                       Look    No encrypted::show;
    https_set            PUT    "/api/v1/https"                       Own     No encrypted::set;
    settings_keep        POST   "/api/v1/settings/keep"               Own     Kept settings::keep;
    storage              GET    "/api/v1/storage"                     Own     No storage::show;
    disk_prepare         POST   "/api/v1/storage"                     Own     Kept storage::prepare;
    disk_act             POST   "/api/v1/storage/{id}/{action}"       Own     Kept storage::act;
    power                POST   "/api/v1/power"                       Own     Kept settings::power;
    reset                POST   "/api/v1/reset"                       Own     No settings::reset;
    unit                 POST   "/api/v1/unit"                        Own     Kept changes::unit;
    docker_act           POST   "/api/v1/docker/{action}"             Operate Kept changes::docker;
    service_publish_new  POST   "/api/v1/services"                    Own     Kept services::publish_new;
    service_publish      PUT    "/api/v1/services/{key}"              Own     No services::publish;
    service_withdraw     DELETE "/api/v1/services/{key}"              Own     No services::withdraw;
    hide_node            PUT    "/api/v1/hidden/{node}"               Own     No hidden::hide_node;
    hide_service         PUT    "/api/v1/hidden/{node}/{key}"         Own     No hidden::hide_service;
    show_node            DELETE "/api/v1/hidden/{node}"               Own     No hidden::show_node;
    show_service         DELETE "/api/v1/hidden/{node}/{key}"         Own     No hidden::show_service;
    tunnels              GET    "/api/v1/tunnels"                     Reach   No tunnels::list;
    tunnel_open          POST   "/api/v1/tunnels"                     Reach   No tunnels::open;
    tunnel_close         DELETE "/api/v1/tunnels/{port}"              Operate No tunnels::close;
    // The nodes of one owner.
    household            GET    "/api/v1/household"                   Own     No household::show;
    household_begin      POST   "/api/v1/household"                   Own     Secret household::begin;
    household_leave      DELETE "/api/v1/household"                   Own     No household::leave;
    household_ask        PUT    "/api/v1/household/{node}"            Own     No household::ask;
    household_answer     POST   "/api/v1/household/{node}"            Own     Kept household::answer;
    household_take_back  DELETE "/api/v1/household/{node}"            Own     No household::take_back;
    at_read              GET    "/api/v1/at/{node}/{*path}"           Inspect No at::forward;
    at_put               PUT    "/api/v1/at/{node}/{*path}"           Inspect No at::forward;
    at_do                POST   "/api/v1/at/{node}/{*path}"           Inspect No at::forward;
    at_delete            DELETE "/api/v1/at/{node}/{*path}"           Inspect No at::forward;
    // What stays with the local socket.
    household_kit        POST   "/api/v1/household-kit"               Local   No household::kit;
    doctor               GET    "/api/v1/doctor"                      Local   No changes::doctor;
    kit                  POST   "/api/v1/kit"                         Local   No changes::kit;
    disks                GET    "/api/v1/install"                     Local   No changes::install_overview;
    disk_install         POST   "/api/v1/install"                     Local   Kept changes::install_begin;
    catalogs_key         GET    "/api/v1/own-catalogs/{name}/key"     Local   No catalogs::key;
    catalogs_key_bring   PUT    "/api/v1/own-catalogs/{name}/key"     Local   No catalogs::bring_key;
    stores               GET    "/api/v1/store"                       Local   No store::names;
    store_own            GET    "/api/v1/store-own/{label}"           Local   No store::own;
    store_token_make     POST   "/api/v1/store-token/{app}"           Local   Secret store::token;
    store_tokens_revoke  DELETE "/api/v1/store-token/{app}"           Local   No store::revoke;
    store_writers        GET    "/api/v1/store-writers/{app}"         Local   No store::writers;
    store_writers_set    PUT    "/api/v1/store-writers/{app}"         Local   No store::set_writers;
    // The store for apps.
    store_keys           GET    "/api/v1/store/{app}"                 Store   No store::list;
    store_batch          POST   "/api/v1/store/{app}"                 Store   No store::batch;
    store_read           GET    "/api/v1/store/{app}/{*key}"          Store   No store::read;
    store_put            PUT    "/api/v1/store/{app}/{*key}"          Store   No store::put;
    store_change         POST   "/api/v1/store/{app}/{*key}"          Store   No store::change;
    store_delete         DELETE "/api/v1/store/{app}/{*key}"          Store   No store::delete;
}

/// The routes that `which` lets through, served.
pub fn router(which: impl Fn(&Route) -> bool) -> Router<Arc<App>> {
    let chosen = TABLE.iter().zip(handlers()).filter(|(route, _)| which(route));
    let served = |(route, handler): (&'static Route, MethodRouter<Arc<App>>)| match body_bytes(route.path) {
        HTTP_BODY_BYTES => (route.path, handler),
        most => (route.path, handler.layer(DefaultBodyLimit::max(most))),
    };
    chosen.map(served).fold(Router::new(), |router, (path, handler)| router.route(path, handler))
}

/// Bytes of a body at most: compose files are longer than all else that is typed.
pub fn body_bytes(path: &str) -> usize {
    if matches!(path, "/own-form" | "/own-compose" | "/api/v1/own-apps/{name}") { OWN_APP_BODY_BYTES } else { HTTP_BODY_BYTES }
}

/// What a request is, by its method and the route that the router found.
pub fn find(method: &Method, path: &str) -> Option<&'static Route> {
    // The router answers HEAD where there is GET.
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    TABLE.iter().find(|route| route.method == method && route.path == path)
}
