//! What is said of each operation: what it is for, what is sent and answered, and what it may be refused with. The rest of the document
//! is made of the table of routes.

use super::super::{apps, changes, follow, jobs, nodes, own, paging, services, shared_apps, store, users};
use super::{Said, more, of};
use crate::apps::{AppView, JobView, LogNews, OwnDetails, OwnView, Publication, Wish};
use crate::blobs::BlobView;
use crate::net::{AppChanged, Changed, Draft, Page, SERVICES_PAGE};
use crate::users::UserView;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The document without paths and schemas.
pub fn frame() -> Value {
    let problem = |what: &str| json!({ "description": what, "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } } });
    let responses = [
        ("400", "Something of what is asked can't be read, or is no question."),
        ("401", "Nobody is known by what was shown: log in, or show a token."),
        ("403", "Whoever asks may not do that; or a browser asks without a page of this node."),
        ("404", "There is no such thing."),
        ("408", "It took too long to come."),
        ("409", "As things are, this can't be done: `detail` says what is in the way."),
        ("412", "It is not as it was seen: somebody else has changed it meanwhile. Read it again, and decide anew."),
        ("413", "What is sent is too long."),
        ("415", "What is sent is not of a kind that is understood here."),
        ("421", "The node is not called that."),
        ("422", "What is sent is understood, and can't be so; or another request came under this `Idempotency-Key`."),
        ("429", "Too often: `Retry-After` says when to come again, in seconds."),
        ("500", "The agent failed; its journal says why."),
        ("502", "Another node was not reached, or is not understood."),
        ("504", "Another node did not answer in time: nobody knows whether it was done."),
        ("503", "A part of the node that is needed does not run or is busy at present."),
        ("507", "It can't be kept: there is no room, or this node's data is not kept in this run."),
    ];
    let responses: BTreeMap<&str, Value> = responses.into_iter().map(|(status, what)| (status, problem(what))).collect();
    let tag = |name: &str, what: &str| json!({ "name": name, "description": what });
    let text = json!({ "type": "string" });
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {
            "title": "A cloudy node",
            "version": "1",
            "description": concat!(
                "All that the pages of a node do, and more, for programs. What is sent and answered is JSON with names in kebab-case; ",
                "a name that ends in -bytes, -seconds, -ms, -mb, -percent, -permille or -celsius has that unit. ",
                "What is refused is a problem (RFC 9457), whose `detail` says why and what to do.\n\n",
                "Lists come in pages: `next` of one is `after` of the next, and stands in `Link` too.\n\n",
                "What is read has an `ETag`: `If-None-Match` spares sending it again; where a change takes `If-Match`, nothing is changed ",
                "that is not as it was seen. That is about what people set: whether an app runs does not matter there.\n\n",
                "A request with an `Idempotency-Key` is done once: the same again within 24 hours gets the same answer, also after a restart ",
                "of the agent. What was refused did nothing and may come again. Answers with secrets (invites, tokens, the recovery kit) are never ",
                "on the node's disk: after a restart of the agent they are answered with 409, and made anew. Each person has room for 64 keys, ",
                "a node for 256; of more, the oldest is forgotten."
            ),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" }
        },
        "servers": [{ "url": "/", "description": "this node" }],
        "tags": [
            tag("node", "How the node is."),
            tag("microcloud", "Who belongs to the microcloud, and how this node comes into one."),
            tag("services", "What the nodes of the microcloud publish."),
            tag("apps", "What can be installed on this node, and what is."),
            tag("jobs", "What is being done with apps."),
            tag("blobs", "Files by their hash, which nodes hold and give each other."),
            tag("household", "The nodes of one owner, each of which is asked through any of them."),
            tag("people", "Who may do what on this node, and their programs."),
            tag("store", "What apps keep in the microcloud: registers, counters and sets, eventually the same on all nodes.")
        ],
        "components": {
            "securitySchemes": {
                "session": { "type": "apiKey", "in": "cookie", "name": "cloudy-session",
                    "description": "A person who has logged in; over HTTPS the cookie is `__Host-cloudy-session`. With a change, a script sends what `GET /api/v1/session` has as `csrf` in `X-CSRF-Token`." },
                "token": { "type": "http", "scheme": "bearer", "description": "A program of a person: `cloudy user token NAME` or the page `/account` makes one." },
                "app-token": { "type": "http", "scheme": "bearer", "description": "An app: `cloudy store token APP` makes one." }
            },
            "responses": responses,
            "headers": {
                "ETag": { "description": "What this is, for `If-None-Match`, and `If-Match` where that is taken.", "schema": text },
                "Next": { "description": "The address of the page after this, as `rel=\"next\"`; none at the end.", "schema": text },
                "Replayed": { "description": "`true` where nothing was done now: this answer was given before.", "schema": text }
            },
            "parameters": {
                "IfMatch": { "name": "If-Match", "in": "header", "schema": text,
                    "description": "An `ETag` that was read, or `\"REVISION\"`: it is changed only if nobody has changed it since (412)." },
                "IfNoneMatch": { "name": "If-None-Match", "in": "header", "schema": text, "description": "An `ETag` that was read: 304 if it is still that." },
                "IdempotencyKey": { "name": "Idempotency-Key", "in": "header", "schema": { "type": "string", "minLength": 1, "maxLength": 128 },
                    "description": "A new one for each thing that shall be done, such as a random UUID; the same one to ask again whether it was done." }
            }
        }
    })
}

/// What is said of the operation of that name.
pub fn of_route(id: &str) -> Option<Said> {
    node(id)
        .or_else(|| microcloud(id))
        .or_else(|| on_node(id))
        .or_else(|| more::blobs(id))
        .or_else(|| more::backups(id))
        .or_else(|| more::catalogs(id))
        .or_else(|| more::by_hand(id))
        .or_else(|| more::leases(id))
        .or_else(|| more::settings(id))
        .or_else(|| more::four_words(id))
        .or_else(|| more::opened(id))
        .or_else(|| more::hidden(id))
        .or_else(|| more::household(id))
        .or_else(|| people(id))
        .or_else(|| stores(id))
}

fn node(id: &str) -> Option<Said> {
    let text = || json!({ "type": "string" });
    Some(match id {
        "metrics" => of("node", "Figures for Prometheus")
            .gives_other("text/plain", "All members as this node knows them, in Prometheus's text format.", text())
            .refuses(&[503]),
        "openapi" => of("node", "This document").gives_other("application/json", "OpenAPI 3.1.", json!({ "type": "object" })),
        "status" => of("node", "How this node is")
            .says("Accept-Language", "In which language it is said what is wrong: en, es or ca.")
            .gives::<crate::status::Status>("Its figures, its parts, and what is wrong, each with its mend."),
        "doctor" => of("node", "Check everything that joining and running needs")
            .gives::<Vec<crate::doctor::Check>>("Each check with what was seen and the mend."),
        "unit" => of("node", "Start, stop or restart a unit of systemd, and wait for the result")
            .takes::<changes::UnitRequest>()
            .gives::<changes::UnitDone>("It is done.")
            .refuses(&[409, 503]),
        "docker_act" => of("node", "Start or restart Docker, without which no app runs, and wait for the result")
            .more("Jobs that waited for it go on. To stop it is an owner's, with `unit`.")
            .gives::<changes::UnitDone>("It is done.")
            .refuses(&[404, 409, 503]),
        "disks" => of("node", "The disks onto which this system can be installed")
            .gives::<crate::install::Overview>("The disks, and how far the newest installation is.")
            .refuses(&[503]),
        "disk_install" => of("node", "Install this system onto a disk")
            .more("All that is on the disk is lost; where something is on it, `erase` must be said.")
            .takes::<crate::install::Request>()
            .gives::<crate::install::State>("It has begun.")
            .refuses(&[404, 409, 503]),
        _ => return None,
    })
}

/// A draft with its key in it, which a schema can't say of two that each allow nothing else.
fn new_service() -> Value {
    let mut schema = serde_json::to_value(<Draft as utoipa::PartialSchema>::schema()).unwrap();
    schema["description"] = json!("A service that is not there: its key, and what it is.");
    schema["properties"]["key"] = json!({ "type": "string", "description": "The key." });
    let mut required = schema["required"].as_array().cloned().unwrap_or_default();
    required.push(json!("key"));
    schema["required"] = required.into();
    schema
}

fn microcloud(id: &str) -> Option<Said> {
    let no_net = [409, 503];
    let service = |said: Said| said.gives::<services::Kept>("It is kept.").refuses(&[409, 422, 503, 507]);
    Some(match id {
        "nodes" => of("microcloud", "The microcloud as this node sees it: its members, and how each is")
            .more("Its members come in pages, by their ids; all else of the view stands on each of them, as it is at that moment.")
            .gives::<nodes::NodesPage>("The view, with a page of its members.")
            .paged(paging::MAX_PAGE)
            .refuses(&[503]),
        "found" => of("microcloud", "Found a microcloud, or come back into one by its recovery kit")
            .takes::<changes::FoundRequest>()
            .gives::<changes::Kit>("Its recovery kit, which must be saved: it is the key to the microcloud.")
            .refuses(&no_net),
        "invite" => of("microcloud", "Make an invite for new nodes")
            .takes::<changes::InviteRequest>()
            .gives::<changes::Invite>("Its text.")
            .refuses(&no_net),
        "join" => of("microcloud", "Join a microcloud by an invite")
            .takes::<changes::JoinRequest>()
            .gives::<changes::Joining>("It is being joined: `nodes` says how it goes.")
            .refuses(&no_net),
        "rename" => of("microcloud", "Give this node another name in the microcloud")
            .takes::<changes::NameRequest>()
            .gives::<changes::Named>("It is called that.")
            .refuses(&no_net),
        "revoke" => of("microcloud", "Remove a node from the microcloud, for good")
            .more("Every member refuses it from then on, and what it published is gone. Invites by which it came let in nobody else.")
            .takes::<changes::NodeRequest>()
            .gives::<changes::Decided>("It is removed, and all members hear of it.")
            .refuses(&no_net),
        "replace" => of("microcloud", "Give the place of a node that is gone to another")
            .more("It is removed as by `revoke`, and an invite for one node is made. Refused while the node is there.")
            .takes::<changes::NodeRequest>()
            .gives::<changes::Replaced>("It is removed. What the new node needs is said once.")
            .refuses(&no_net),
        "appoint" => of("microcloud", "Make a member an admin too")
            .more("It then lets others in and takes them out, but for admins. This node must hold the founder's key.")
            .takes::<changes::NodeRequest>()
            .gives::<changes::Decided>("It is an admin, and all members hear of it.")
            .refuses(&no_net),
        "dismiss" => of("microcloud", "Make an admin an ordinary member, for good")
            .more("Whom it let in stays. Its invites let in nobody else. This node must hold the founder's key.")
            .takes::<changes::DismissRequest>()
            .gives::<changes::Decided>("It decides nothing any more.")
            .refuses(&no_net),
        "leave" => of("microcloud", "Leave the microcloud").gives::<changes::Left>("This node has left.").refuses(&no_net),
        "door" => of("microcloud", "Let newcomers of the local network in for some minutes")
            .takes::<changes::MinutesRequest>()
            .gives::<changes::DoorOpen>("The door is open, or closed.")
            .refuses(&no_net),
        "kit" => of("microcloud", "The recovery kit, where this node holds it").gives::<changes::Kit>("Its text.").refuses(&no_net),
        "services" => of("services", "Search what the nodes publish")
            .query(
                "text",
                "Words that all must be in title, description, category, key or the node's name.",
                json!({ "type": "string", "maxLength": 200 }),
            )
            .query("category", "The category.", json!({ "type": "string" }))
            .query("node", "The node's name or id, or the beginning of its id.", json!({ "type": "string" }))
            .query("hidden", "Whether what admins hide from all is listed too.", json!({ "type": "boolean", "default": false }))
            .query("muted", "Whether what the person who asks has muted is listed too.", json!({ "type": "boolean", "default": false }))
            .gives::<Page>("A page of services, in the order of node ids and keys.")
            .paged(SERVICES_PAGE)
            .refuses(&[409, 503]),
        "view" => {
            of("services", "How far the community holds the same records").gives::<services::Agreement>("How far.").refuses(&[409, 503])
        }
        "watch" => of("services", "Changes of records as they come")
            .events::<Changed>("`changed` with node and records; `missed` with a number when the watcher was too slow.", "changed")
            .refuses(&[409, 503]),
        "service_publish_new" => service(of("services", "Publish a service that is not there").takes_as("NewService", new_service())),
        "service_publish" => service(of("services", "Publish a service, or say something else of it").takes::<Draft>()),
        "service_withdraw" => service(of("services", "Take a service of this node back")).refuses(&[404]),
        _ => return None,
    })
}

/// A form or a compose file, as `contract::apps::own` reads it.
fn own_app() -> Value {
    let text = |what: &str| json!({ "type": "string", "description": what });
    let list = |what: &str| json!({ "type": "array", "description": what, "items": { "type": "string" } });
    let object = |what: &str, required: &[&str], properties: Value| json!({ "type": "object", "description": what, "additionalProperties": false, "required": required, "properties": properties });
    let port = object(
        "A port.",
        &["container"],
        json!({
            "container": { "type": "integer", "minimum": 1, "maximum": 65535, "description": "In the container." },
            "proposed": { "type": "integer", "minimum": 1, "maximum": 65535, "description": "The node's port that is proposed; the same without." },
            "protocol": text("`tcp`, `udp` or `both`; `tcp` without."),
            "scheme": text("What is spoken there, such as `http`."),
        }),
    );
    let volume = object(
        "Something that is kept.",
        &["source", "path"],
        json!({
            "source": text("A volume's name; or a folder of the node, which an owner must allow."),
            "path": text("Where it is in the container."),
            "read-only": { "type": "boolean", "description": "Whether it is only read." },
        }),
    );
    let form = object(
        "One image, and what it needs.",
        &["image"],
        json!({
            "image": text("The image, as Docker calls it."),
            "entrypoint": list("The program that takes the command; what the image says without. With one of its own, the image's command counts no more."),
            "command": list("What it is started with; what the image says without."),
            "ports": { "type": "array", "description": "Ports that it listens on.", "items": port },
            "environment": { "type": "object", "description": "Its environment; what is null is said when it is installed.", "additionalProperties": { "type": ["string", "null"] } },
            "volumes": { "type": "array", "description": "What it keeps.", "items": volume },
            "devices": list("Devices of the node: an owner must allow each."),
            "capabilities": list("Capabilities: an owner must allow those that not every container has."),
            "network": { "enum": ["own", "none", "host"], "description": "Its network; `host` is the node's, which an owner must allow." },
            "privileged": { "type": "boolean", "description": "Without confinement: an owner must allow it." },
            "user": text("Its user; the image's without."),
            "memory-mb": { "type": "integer", "minimum": 0, "description": "Memory at most, in MiB." },
            "cpu-percent": { "type": "integer", "minimum": 0, "description": "Hundredths of a processor at most." },
        }),
    );
    object(
        "An app of a person's own: a form, a compose file, or a blob that is one, and no two of them.",
        &["title"],
        json!({
            "title": text("What people call it."),
            "description": text("What it is for."),
            "form": form,
            "compose": text("A compose file's text."),
            "blob": text("Instead: the blob that is a compose file, by its hash or an address with the hash in it. It is fetched where it is not here; at the address nobody is asked."),
        }),
    )
}

fn on_node(id: &str) -> Option<Said> {
    const CHANGE: [u16; 6] = [404, 409, 412, 422, 503, 507];
    const OWN: [u16; 5] = [404, 409, 422, 503, 507];
    let begun = |said: Said| said.gives_as::<JobView>(202, "A job has begun: `job` and `job_events` tell how far it is.").refuses(&CHANGE);
    let told = |said: Said| said.if_match().gives::<apps::Told>("It is so.").refuses(&CHANGE);
    Some(match id {
        "apps" => of("apps", "What is installed on this node, and how it is")
            .gives::<apps::AppsPage>("A page of apps, by name.")
            .paged(paging::MAX_PAGE),
        "app" => of("apps", "An app of this node").gives::<AppView>("How it is.").refuses(&[404]),
        "catalog" => of("apps", "What can be installed")
            .gives::<apps::CatalogPage>("A page of the catalog, by name.")
            .paged(paging::MAX_PAGE)
            .refuses(&[503]),
        "catalog_add" => {
            let mut said = of("apps", "Take apps into the catalog")
                .more("The body is a tar of an OCI image layout, as `cargo xtask app` writes it, and is taken as it comes.")
                .gives::<apps::Added>("What was taken.")
                .refuses(&[409, 422, 500, 503, 507]);
            said.body = Some(
                json!({ "required": true, "content": { "application/x-tar": { "schema": { "type": "string", "format": "binary" } } } }),
            );
            said
        }
        "catalog_forget" => of("apps", "Take an app out of the catalog; one that is installed goes on")
            .gives::<apps::Forgotten>("It is not there any more.")
            .refuses(&[404, 409, 500, 503, 507]),
        "catalog_share" => of("apps", "Give an app of the catalog to other nodes")
            .more("A version that this node gave before goes.")
            .takes::<shared_apps::Sharing>()
            .gives_as::<BlobView>(201, "The blob that they fetch.")
            .refuses(&[404, 409, 422, 503, 507]),
        "own_apps" => of("apps", "Apps of people's own that are saved: forms and compose files")
            .gives::<own::OwnAppsPage>("A page of them, by name. No value of an environment stands in it.")
            .paged(paging::MAX_PAGE)
            .refuses(&[503]),
        "own_app" => of("apps", "An app of a person's own, with all that was saved of it")
            .gives::<OwnDetails>("It, with its form or compose file.")
            .refuses(&[404, 503]),
        "own_app_save" => of("apps", "Save an app of one's own; what is another definition loses what owners granted")
            .takes_as("OwnApp", own_app())
            .gives::<OwnView>("It, with what it asks of the node.")
            .refuses(&OWN),
        "own_app_forget" => of("apps", "Forget an app of one's own; one that is installed goes on")
            .gives::<own::OwnForgotten>("It is not there any more.")
            .refuses(&OWN),
        "own_app_grant" => of("apps", "Grant an app of one's own what it asks of the node, and take back what is not named")
            .takes_as(
                "Grants",
                json!({ "type": "array", "description": "All that it is granted, as `asked` names it.", "items": { "type": "string" } }),
            )
            .gives::<OwnView>("It, with what is granted.")
            .refuses(&OWN),
        "app_install" => begun(of("apps", "Install an app of the catalog").takes::<Wish>()),
        "app_change" => begun(of("apps", "Change an app's settings, ports or version; what is not said stays").if_match().takes::<Wish>()),
        "app_remove" => begun(
            of("apps", "Take an app away")
                .query(
                    "with-data",
                    "With all that it keeps; otherwise that is there again when the app is installed again.",
                    json!({ "type": "boolean", "default": false }),
                )
                .if_match(),
        ),
        "app_act" => {
            let mut said = begun(of("apps", "Start, stop or restart an app"));
            said.schema::<crate::units::Action>();
            said
        }
        "app_settings" => of("apps", "What is set of an app; of a secret only that it is")
            .gives::<BTreeMap<String, String>>("Names of settings with their values.")
            .refuses(&[404]),
        "app_changes" => of("apps", "What an update of an app would change, before it is made: what it asks for first")
            .gives::<crate::apps::UpdateView>("Each change; none where what there is, is what is installed.")
            .refuses(&[404, 422, 503, 507]),
        "app_logs" => of("apps", "What an app said last")
            .query("lines", "So many lines; 100 without, 1000 at most.", json!({ "type": "integer", "minimum": 0 }))
            .gives::<apps::Logs>("Its last lines, 128 KiB at most.")
            .refuses(&[404, 503]),
        "app_logs_events" => of("apps", "What an app says, as it happens")
            .more("First its last lines, then each that it says, until it is there no more. A line is cut after 4 KiB.")
            .query("lines", "So many lines first; 100 without, 1000 at most.", json!({ "type": "integer", "minimum": 0 }))
            .events::<LogNews>("A `log` each time.", "log")
            .refuses(&[404, 503]),
        "app_uses" => of("apps", "What the apps use that run: processor, memory, network, disks")
            .gives::<follow::UsesPage>("A page of them, by name. One that is stopped is not among them.")
            .paged(paging::MAX_PAGE)
            .refuses(&[503]),
        "app_publish" => told(of("apps", "Publish an app to the microcloud, with how it is").takes::<Publication>()),
        "app_withdraw" => told(of("apps", "Publish an app no more")),
        "jobs" => of("jobs", "What is being done with apps, and what was")
            .gives::<jobs::JobsPage>("A page of jobs, the newest first.")
            .paged(paging::MAX_PAGE),
        "job" => of("jobs", "A job").gives::<JobView>("How far it is.").refuses(&[404]),
        "jobs_events" => of("jobs", "All jobs as it happens")
            .more("First each job that is not over, then each that is another. After ten minutes it ends: ask again.")
            .events::<JobView>("A `job` each time.", "job")
            .refuses(&[503]),
        "job_events" => of("jobs", "A job as it happens")
            .more("First as it is, then each time when it is another; it ends when the job is over, or after ten minutes.")
            .events::<JobView>("A `job` each time.", "job")
            .refuses(&[404, 503]),
        _ => return None,
    })
}

fn people(id: &str) -> Option<Said> {
    let password = |said: Said| said.refuses(&[429, 500, 507]);
    let tokens = |said: Said| said.gives::<users::TokensPage>("A page of tokens, by number.").paged(paging::MAX_PAGE);
    let made =
        |said: Said| said.takes::<users::NewToken>().gives::<users::MadeToken>("Its text, shown this once.").refuses(&[404, 409, 507]);
    let revoked = |said: Said| said.gives::<users::RevokedToken>("It opens nothing any more.").refuses(&[404, 507]);
    let change = [404, 409, 507];
    Some(match id {
        "session" => {
            of("people", "Who asks, and how this node can be claimed").gives::<users::SessionView>("Who is known by what was shown.")
        }
        "login" => password(
            of("people", "Log in")
                .takes::<users::Login>()
                .gives::<users::Opened>("A session, whose cookie comes with the answer.")
                .refuses(&[401]),
        ),
        "logout" => of("people", "Log out").gives::<users::Closed>("The session has ended."),
        "claim" => password(
            of("people", "Become the first owner of a node that nobody owns")
                .takes::<users::Claim>()
                .gives::<users::Opened>("A session of the owner.")
                .refuses(&[409]),
        ),
        "claim_code" => {
            of("people", "The code with which a node that nobody owns is claimed").gives::<users::ClaimCode>("The code.").refuses(&[409])
        }
        "own_password" => password(
            of("people", "Change one's own password; all sessions end")
                .takes::<users::OwnPassword>()
                .gives::<users::Opened>("A new session.")
                .refuses(&change),
        ),
        "end_sessions" => of("people", "End all one's own sessions").gives::<users::Ended>("They have ended."),
        "own_tokens" => tokens(of("people", "One's own tokens for programs")),
        "own_token_make" => made(of("people", "Make a token for a program of one's own")),
        "own_token_revoke" => revoked(of("people", "Take a token of one's own back")),
        "users" => of("people", "Who may do something here").gives::<users::UsersPage>("A page of users, by name.").paged(paging::MAX_PAGE),
        "user" => of("people", "A user").gives::<UserView>("The user.").refuses(&[404]),
        "user_add" => password(
            of("people", "Add a user").takes::<users::NewUser>().gives::<users::NamedRole>("There is such a user.").refuses(&change),
        ),
        "user_remove" => of("people", "Remove a user, with sessions and tokens")
            .if_match()
            .gives::<users::RemovedUser>("There is none.")
            .refuses(&change),
        "user_role" => of("people", "Give a user another role; all sessions of that person end")
            .if_match()
            .takes::<users::NewRole>()
            .gives::<users::NamedRole>("It is so.")
            .refuses(&change),
        "user_password" => password(
            of("people", "Give a user another password; all sessions of that person end")
                .if_match()
                .takes::<users::NewPassword>()
                .gives::<users::NamedUser>("It is so.")
                .refuses(&change),
        ),
        "user_tokens" => tokens(of("people", "A user's tokens for programs")),
        "user_token_make" => made(of("people", "Make a token for a program of a user")),
        "user_token_revoke" => revoked(of("people", "Take a user's token back")),
        _ => return None,
    })
}

fn stores(id: &str) -> Option<Said> {
    let refused = [409, 422, 503];
    let written = |said: Said| said.refuses(&[409, 412, 413, 422, 503, 507]);
    let if_match = "A context (`ETag`) of the key: it is written only if nothing was written since (412).";
    let absent = "`*`: it is written only if there is nothing under the key.";
    Some(match id {
        "store_keys" => of("store", "An app's keys with their values, or its changes as they come")
            .more("With `Accept: text/event-stream`: `changed` with the keys (or `all`), `missed` with a number when the watcher was too slow.")
            .gives::<store::KeysPage>("A page of keys, in their order.")
            .events::<AppChanged>("A page of keys in their order, or events.", "changed").paged(store::MAX_PAGE).refuses(&refused),
        "store_read" => of("store", "What is under a key").gives::<store::Read>("Its values: several where nodes wrote at once.")
            .refuses(&refused).refuses(&[404]),
        "store_put" => written(of("store", "Set a register, in place of all values that are shown here").says("If-Match", if_match)
            .says("If-None-Match", absent).takes::<store::Text>().gives::<store::Written>("It is written.")),
        "store_delete" => written(of("store", "Delete a register's value").says("If-Match", if_match)
            .gives::<store::Written>("It is deleted.")),
        "store_change" => written(of("store", "Change a key by name: put, delete, add, insert or take").says("If-Match", if_match)
            .says("If-None-Match", absent).takes::<store::Wanted>().gives::<store::Written>("It is written.")),
        "store_batch" => written(of("store", "Several changes of an app, all or none").takes::<store::Batch>()
            .gives::<store::AllWritten>("They are written.")),
        "stores" => of("store", "Apps that keep something in the microcloud").gives::<store::Names>("Their names.").refuses(&refused),
        "store_own" => of("store", "What an app of this owner is called in the microcloud").gives::<store::OneName>("Its name.").refuses(&refused),
        "store_token_make" => of("store", "Make a token that opens one app's store").gives::<store::AppToken>("Its text, shown this once.")
            .refuses(&[422, 507]),
        "store_tokens_revoke" => of("store", "Take all tokens of an app back").gives::<store::Revoked>("How many.").refuses(&[422, 507]),
        "store_writers" => of("store", "Who may write to an app's store").gives::<store::WritersView>("Who.").refuses(&refused),
        "store_writers_set" => written(of("store", "Say who may write to an app's store").takes::<store::WritersRequest>()
            .gives::<store::OneName>("It is so.")),
        _ => return None,
    })
}
