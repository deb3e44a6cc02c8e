//! The API's document (OpenAPI 3.1), made of the code: paths and who may from the table of routes, schemas from the types that are sent
//! (utoipa), what else there is to say from `said`. It is made by a test and lies in `assets/openapi.json`, so that a node carries the
//! text alone, a review sees what a change does to the API, and a stale file fails.
//!
//! `UPDATE_EXPECT=1 cargo test -p agent openapi` writes it anew.

pub mod check;
mod more;
mod said;

use super::routes::{Once, Route, Side, TABLE};
use crate::users::{Operation, Rights, Role, Scope, may};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What is said of an operation beside what the table of routes says.
#[derive(Default)]
struct Said {
    tag: &'static str,
    /// In a line.
    summary: &'static str,
    /// In some sentences.
    more: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<u16, Value>,
    /// What it may be refused with, beside what every such route has.
    refusals: Vec<u16>,
    schemas: BTreeMap<String, Value>,
}

/// Begins to say something of an operation.
fn of(tag: &'static str, summary: &'static str) -> Said {
    Said { tag, summary, ..Said::default() }
}

fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

impl Said {
    fn more(self, more: &'static str) -> Self {
        Self { more, ..self }
    }

    /// A type that is sent, by reference.
    fn schema<T: ToSchema>(&mut self) -> Value {
        // Lists and maps have no name of their own.
        let plain = matches!(T::name().as_ref(), "Vec" | "BTreeMap");
        let mut all = if plain { Vec::new() } else { vec![(T::name().into_owned(), T::schema())] };
        T::schemas(&mut all);
        for (name, schema) in all {
            let schema = serde_json::to_value(schema).unwrap();
            let before = self.schemas.insert(name.clone(), schema.clone());
            assert!(before.is_none_or(|before| before == schema), "two types are called {name}: give one another name (`schema(as = …)`)");
        }
        if plain { serde_json::to_value(T::schema()).unwrap() } else { json!({ "$ref": format!("#/components/schemas/{}", T::name()) }) }
    }

    /// A field of the query.
    fn query(mut self, name: &str, what: &str, schema: Value) -> Self {
        self.parameters.push(json!({ "name": name, "in": "query", "description": what, "schema": schema }));
        self
    }

    /// A header of the request.
    fn says(mut self, name: &str, what: &str) -> Self {
        self.parameters.push(json!({ "name": name, "in": "header", "description": what, "schema": { "type": "string" } }));
        self
    }

    /// A change that is held against what was seen.
    fn if_match(mut self) -> Self {
        self.parameters.push(json!({ "$ref": "#/components/parameters/IfMatch" }));
        self.refusals.push(412);
        self
    }

    /// A list that comes in pages.
    fn paged(self, most: usize) -> Self {
        let limit = json!({ "type": "integer", "minimum": 1, "maximum": most });
        let mut said = self.query("limit", "Most entries of this page; more than the most is taken as the most.", limit).query(
            "after",
            "What the page before gave as `next`; without it, the first page.",
            json!({ "type": "string" }),
        );
        if let Some(answer) = said.answers.get_mut(&200) {
            answer["headers"]["Link"] = header("Next");
        }
        said.refusals.push(400);
        said
    }

    /// What is sent, as JSON.
    fn takes<T: ToSchema>(mut self) -> Self {
        let schema = self.schema::<T>();
        self.body = Some(json!({ "required": true, "content": { "application/json": { "schema": schema } } }));
        self.refusals.extend([400, 413, 415, 422]);
        self
    }

    /// The same, of a type that is another crate's.
    fn takes_as(mut self, name: &str, schema: Value) -> Self {
        self.schemas.insert(name.to_owned(), schema);
        self.body = Some(
            json!({ "required": true, "content": { "application/json": { "schema": { "$ref": format!("#/components/schemas/{name}") } } } }),
        );
        self.refusals.extend([400, 413, 415, 422]);
        self
    }

    /// What is answered, as JSON.
    fn gives_as<T: ToSchema>(mut self, status: u16, what: &str) -> Self {
        let schema = self.schema::<T>();
        self.answers.insert(status, json!({ "description": what, "content": { "application/json": { "schema": schema } } }));
        self
    }

    fn gives<T: ToSchema>(self, what: &str) -> Self {
        self.gives_as::<T>(200, what)
    }

    /// What is answered otherwise.
    fn gives_other(mut self, kind: &str, what: &str, schema: Value) -> Self {
        self.answers.insert(200, json!({ "description": what, "content": { kind: { "schema": schema } } }));
        self
    }

    /// Events as they come: their names, with what each carries.
    fn events<T: ToSchema>(mut self, what: &str, name: &str) -> Self {
        let schema = self.schema::<T>();
        let content = json!({ "text/event-stream": { "schema": { "type": "string" }, "x-cloudy-events": { name: schema } } });
        let mut answer = json!({ "description": what, "content": content });
        if let Some(before) = self.answers.remove(&200) {
            answer["content"]["application/json"] = before["content"]["application/json"].clone();
        }
        self.answers.insert(200, answer);
        self
    }

    fn refuses(mut self, statuses: &[u16]) -> Self {
        self.refusals.extend(statuses);
        self
    }
}

/// The least that is needed for it: a session's role, and a token's role and scope.
fn least(operation: Operation) -> (Option<Role>, Option<(Role, Scope)>) {
    let roles = [Role::Guest, Role::Operator, Role::Owner];
    let session = roles.into_iter().find(|role| may(Rights::Session(*role), operation));
    let tokens = roles.into_iter().flat_map(|role| [Scope::Read, Scope::Apps, Scope::Admin].map(|scope| (role, scope)));
    (session, tokens.into_iter().find(|(role, scope)| may(Rights::Token(*role, *scope), operation)))
}

/// Who may, as OpenAPI has it. An entry's list names the role, and a token's scope.
fn security(operation: Operation) -> Value {
    if operation == Operation::Store {
        return json!([{ "app-token": [] }]);
    }
    if may(Rights::Nobody, operation) || operation == Operation::Local {
        return json!([]);
    }
    let (session, token) = least(operation);
    let session = session.map(|role| json!({ "session": [role] }));
    let token = token.map(|(role, scope)| json!({ "token": [role, scope] }));
    session.into_iter().chain(token).collect()
}

/// Who may, in words.
fn who(operation: Operation) -> String {
    let word = |value: &dyn erased::Word| value.word();
    match operation {
        Operation::Local => "Only on the node itself, over its local socket.".to_owned(),
        Operation::Store => "Whoever shows this app's own token, and the local socket.".to_owned(),
        _ if may(Rights::Nobody, operation) => "Everybody.".to_owned(),
        _ => {
            let (session, token) = least(operation);
            let local = may(Rights::Local, operation).then(|| "the local socket".to_owned());
            let session = session.map(|role| format!("the session of at least a person of role `{}`", word(&role)));
            let token = token.map(|(role, scope)| format!("a token of such a person (`{}`) with scope `{}`", word(&role), word(&scope)));
            let all: Vec<String> = session.into_iter().chain(token).chain(local).collect();
            format!("Needs {}.", all.join(", or "))
        }
    }
}

/// The word that a value is sent as.
mod erased {
    pub trait Word {
        fn word(&self) -> String;
    }

    impl<T: serde::Serialize> Word for T {
        fn word(&self) -> String {
            serde_json::to_value(self).unwrap().as_str().unwrap().to_owned()
        }
    }
}

/// A part of a path that is said by whoever asks.
fn path_parameter(path: &str, name: &str) -> Value {
    let (what, schema) = match name {
        "name" if path.contains("/users/") => ("Name of the user.", json!({ "type": "string" })),
        "name" => ("Name of the app.", json!({ "type": "string" })),
        "app" => ("The app whose store it is.", json!({ "type": "string" })),
        "label" => ("What the app calls itself.", json!({ "type": "string" })),
        "action" => ("What is done.", json!({ "$ref": "#/components/schemas/Action" })),
        "key" if path.contains("/store/") => ("The key; it may have slashes in it.", json!({ "type": "string" })),
        "key" if path.contains("{node}") => ("The key by which that node publishes it.", json!({ "type": "string" })),
        "node" => ("The node's id in hexadecimal.", json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })),
        "key" => ("The key by which this node publishes it.", json!({ "type": "string" })),
        "hash" => ("BLAKE3 in hexadecimal, in lower case.", json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })),
        "port" => ("The port of this node at which it is.", json!({ "type": "integer", "minimum": 1, "maximum": 65535 })),
        "id" => ("The number.", json!({ "type": "integer", "format": "int64", "minimum": 0 })),
        "path" => ("What is asked there, below `/api/v1/`.", json!({ "type": "string" })),
        "step" => ("The step: `name`, `microcloud`, `kit`, `place`, or `done`.", json!({ "type": "string" })),
        other => panic!("say what `{other}` is"),
    };
    json!({ "name": name, "in": "path", "required": true, "description": what, "schema": schema })
}

/// Names in braces of a path, and the path as OpenAPI has it.
fn template(path: &str) -> (Vec<String>, String) {
    let path = path.replace("{*", "{");
    (path.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name.to_owned()).collect(), path)
}

/// An operation, whole.
fn operation(route: &Route, said: &Said) -> Value {
    let (names, path) = template(route.path);
    let mut parameters: Vec<Value> = names.iter().map(|name| path_parameter(&path, name)).collect();
    parameters.extend(said.parameters.iter().cloned());
    let mut refusals = said.refusals.clone();
    // Host and Origin are looked at before all else; a path may say what can't be read.
    refusals.extend([400, 403, 421]);
    if !may(Rights::Nobody, route.operation) || route.operation == Operation::Store {
        refusals.push(401);
    }
    if route.once != Once::No {
        parameters.push(json!({ "$ref": "#/components/parameters/IdempotencyKey" }));
        refusals.extend([409, 413, 422, 503, 507]);
    }
    let mut answers = said.answers.clone();
    for (status, answer) in &mut answers {
        let json = answer["content"].get("application/json").is_some();
        if json && route.method == "GET" && *status == 200 {
            answer["headers"]["ETag"] = header("ETag");
        }
        if route.once != Once::No {
            answer["headers"]["Idempotency-Replayed"] = header("Replayed");
        }
    }
    if answers.get(&200).is_some_and(|answer| answer["headers"].get("ETag").is_some()) {
        parameters.push(json!({ "$ref": "#/components/parameters/IfNoneMatch" }));
        answers.insert(304, json!({ "description": "It is still what `If-None-Match` names." }));
    }
    refusals.sort_unstable();
    refusals.dedup();
    let mut responses: BTreeMap<String, Value> = answers.into_iter().map(|(status, answer)| (status.to_string(), answer)).collect();
    for status in refusals {
        responses.insert(status.to_string(), json!({ "$ref": format!("#/components/responses/{status}") }));
    }
    let more = if said.more.is_empty() { String::new() } else { format!("{}\n\n", said.more) };
    let mut operation = json!({
        "operationId": route.id,
        "tags": [said.tag],
        "summary": said.summary,
        "description": format!("{more}{}", who(route.operation)),
        "security": security(route.operation),
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(body) = &said.body {
        operation["requestBody"] = body.clone();
    }
    if route.side() == Side::Local {
        operation["servers"] = json!([{ "url": "http://localhost", "description": "over the Unix socket `/run/cloudy/agent.sock`" }]);
    }
    operation
}

/// The whole document.
pub fn document() -> Value {
    let (mut paths, mut schemas) = (Map::new(), BTreeMap::new());
    for route in TABLE.iter().filter(|route| route.is_api()) {
        let mut said = said::of_route(route.id).unwrap_or_else(|| panic!("say what `{}` is, in `said`", route.id));
        let _problem = said.schema::<super::problem::Problem>();
        for (name, schema) in std::mem::take(&mut said.schemas) {
            let before = schemas.insert(name.clone(), schema.clone());
            assert!(before.is_none_or(|before| before == schema), "two types are called {name}: give one another name");
        }
        let (_, path) = template(route.path);
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[route.method.to_lowercase()] = operation(route, &said);
    }
    let mut document = said::frame();
    document["paths"] = Value::Object(paths);
    document["components"]["schemas"] = json!(schemas);
    document
}

/// As it lies in its file: an operation, a schema, a line.
fn written(document: &Value) -> String {
    let lines = |value: &Value, depth: usize| -> String { object(value, depth) };
    fn object(value: &Value, depth: usize) -> String {
        match value {
            Value::Object(fields) if depth > 0 && !fields.is_empty() => {
                let field = |(name, value): (&String, &Value)| format!("{}: {}", json!(name), object(value, depth - 1));
                format!("{{\n{}\n}}", fields.iter().map(field).collect::<Vec<_>>().join(",\n"))
            }
            other => other.to_string(),
        }
    }
    let parts = document.as_object().unwrap().iter().map(|(name, value)| {
        let depth = match name.as_str() {
            "paths" | "components" => 2,
            _ => 0,
        };
        format!("{}: {}", json!(name), lines(value, depth))
    });
    format!("{{\n{}\n}}\n", parts.collect::<Vec<_>>().join(",\n"))
}

/// Where it lies.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/openapi.json");

#[test]
fn openapi_is_the_document_of_this_code() {
    let now = written(&document());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(FILE, &now).unwrap();
        return;
    }
    assert_eq!(serde_json::from_str::<Value>(&now).unwrap(), document());
    assert!(std::fs::read_to_string(FILE).unwrap() == now, "assets/openapi.json is stale: UPDATE_EXPECT=1 cargo test -p agent openapi");
}

#[test]
fn openapi_has_each_route_of_the_api_once_and_its_references_lead_somewhere() {
    let document = document();
    let mut ids = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            ids.push((operation["operationId"].as_str().unwrap().to_owned(), method.to_uppercase(), path.clone()));
            assert!(!operation["summary"].as_str().unwrap().is_empty() && !operation["tags"][0].as_str().unwrap().is_empty(), "{path}");
            let tags = document["tags"].as_array().unwrap();
            assert!(tags.iter().any(|tag| tag["name"] == operation["tags"][0]), "{} is a tag of the document", operation["tags"][0]);
        }
    }
    let mut served: Vec<_> =
        TABLE.iter().filter(|route| route.is_api()).map(|r| (r.id.to_owned(), r.method.to_owned(), template(r.path).1)).collect();
    ids.sort();
    served.sort();
    assert_eq!(ids, served);
    served.dedup_by(|a, b| a.0 == b.0);
    assert_eq!(ids.len(), served.len(), "each has an id of its own");

    let mut references = Vec::new();
    find_references(&document, &mut references);
    for reference in &references {
        let at = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(at).is_some(), "{reference} leads nowhere");
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        assert!(references.contains(&format!("#/components/schemas/{name}")), "nothing has a {name}");
        jsonschema::meta::validate(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        undescribed(name, schema);
    }
}

fn find_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| find_references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| find_references(value, found)),
        _ => {}
    }
}

/// Every field says what it is, with its unit.
fn undescribed(name: &str, schema: &Value) {
    for (field, value) in schema["properties"].as_object().into_iter().flatten() {
        let tag = value["enum"].as_array().is_some_and(|all| all.len() == 1);
        let says = |value: &Value| value.get("description").is_some() || value.get("$ref").is_some();
        let inside = value["oneOf"].as_array().is_some_and(|all| all.iter().any(says));
        assert!(tag || inside || says(value), "{name}: `{field}` says nothing of itself");
    }
}

#[test]
fn openapi_says_who_may_as_the_table_of_roles_has_it() {
    assert_eq!(security(Operation::Look), json!([]));
    assert_eq!(security(Operation::Inspect), json!([{ "session": ["operator"] }, { "token": ["operator", "read"] }]));
    assert_eq!(security(Operation::Own), json!([{ "session": ["owner"] }, { "token": ["owner", "admin"] }]));
    assert_eq!(security(Operation::Account), json!([{ "session": ["operator"] }]));
    assert_eq!(security(Operation::Leave), json!([{ "session": ["guest"] }]));
    assert!(who(Operation::Local).contains("local socket") && who(Operation::Account).ends_with("`operator`."));
}
