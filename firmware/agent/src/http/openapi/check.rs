//! Holds answers against the document, as whoever makes a client of it would take them.

use crate::http::routes::TABLE;
use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(super::document)
}

/// Whether a path is one of that route; better are those that name more of it.
fn fits(route: &str, path: &str) -> Option<usize> {
    let (mut named, mut left) = (0, path.split('/'));
    for part in route.split('/') {
        if part.starts_with("{*") {
            return left.next().map(|_| named);
        }
        let said = left.next()?;
        match part.starts_with('{') {
            true if !said.is_empty() => {}
            false if part == said => named += 1,
            _ => return None,
        }
    }
    left.next().is_none().then_some(named)
}

/// The operation that a request is, as the document has it.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next().unwrap_or_default();
    let routes = TABLE.iter().filter(|route| route.method == method && route.is_api());
    let (_, route) = routes.filter_map(|route| Some((fits(route.path, path)?, route))).max_by_key(|(named, _)| *named)?;
    document()["paths"].get(super::template(route.path).1)?.get(route.method.to_lowercase())
}

/// Fails where an answer is not as the document says: its status, its kind, its shape.
pub fn answer(method: &str, path: &str, status: u16, kind: &str, body: &str) {
    let Some(operation) = operation(method, path) else { return };
    // What nobody may, wherever it is asked, is not served there.
    if status == 405 || (status == 404 && operation.get("servers").is_some()) {
        return;
    }
    let id = operation["operationId"].as_str().unwrap();
    let said = &operation["responses"][status.to_string()];
    assert!(said.is_object(), "{id} answers {status}, of which the document says nothing: {body}");
    let said = match said.get("$ref") {
        Some(reference) => document().pointer(&reference.as_str().unwrap()[1..]).unwrap(),
        None => said,
    };
    if body.is_empty() {
        return;
    }
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let content = &said["content"][kind];
    assert!(content.is_object(), "{id} answers {status} with `{kind}`, of which the document says nothing: {body}");
    if kind.ends_with("json") {
        shape(&content["schema"], &serde_json::from_str(body).unwrap(), &format!("{id} {status}"));
    }
}

/// Fails where a value has not the shape that the document says.
pub fn shape(schema: &Value, value: &Value, what: &str) {
    static KNOWN: Mutex<BTreeMap<String, &'static Validator>> = Mutex::new(BTreeMap::new());
    let validator = *KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner).entry(schema.to_string()).or_insert_with(|| {
        let whole =
            json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema], "components": document()["components"] });
        Box::leak(Box::new(jsonschema::validator_for(&whole).unwrap()))
    });
    let wrong: Vec<String> = validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{what} has not the shape that the document says: {wrong:?}\n{value}");
}

#[test]
fn openapi_finds_the_operation_of_a_request_and_notices_what_is_not_said() {
    for (method, path, id) in [
        ("GET", "/api/v1/jobs/events", "jobs_events"),
        ("GET", "/api/v1/jobs/7/events", "job_events"),
        ("GET", "/api/v1/store/notes/a/b?x=y", "store_read"),
        ("GET", "/api/v1/store/notes", "store_keys"),
        ("POST", "/api/v1/apps/wiki/start", "app_act"),
    ] {
        assert_eq!(operation(method, path).unwrap()["operationId"], id, "{path}");
    }
    assert!(operation("GET", "/api/v1/nothing").is_none() && operation("PATCH", "/api/v1/jobs").is_none());
    let fails = |status, kind: &'static str, body: &'static str| {
        std::panic::catch_unwind(|| answer("GET", "/api/v1/users/ana", status, kind, body)).is_err()
    };
    assert!(!fails(200, "application/json", r#"{"name":"ana","role":"owner","revision":1}"#));
    assert!(fails(200, "application/json", r#"{"name":"ana","role":"king","revision":1}"#));
    assert!(fails(200, "application/json", r#"{"name":"ana"}"#) && fails(200, "text/plain", "ana") && fails(418, "application/json", "{}"));
}
