//! The page of the API: its document, to be read by people. The frame is in their language, the document in English.

use super::View;
use maud::{Markup, html};
use serde_json::Value;

/// All of it.
pub fn body(view: &View<'_>, document: &Value) -> Markup {
    let words = view.lang.api();
    html! {
        section.whole {
            h2 { (words.title) }
            p { (words.what) }
            p { a href="/api/v1/openapi.json" { (words.document) } }
            @if view.lang != crate::text::Lang::En { p.quiet { (words.english) } }
        }
        section.whole lang="en" { (paragraphs(&document["info"]["description"])) }
        @for tag in document["tags"].as_array().into_iter().flatten() {
            section.whole lang="en" {
                h2 { (text(&tag["name"])) }
                p { (text(&tag["description"])) }
                @for (path, method, operation) in operations(document).filter(|(_, _, operation)| operation["tags"][0] == tag["name"]) {
                    (self::operation(path, method, operation, document))
                }
            }
        }
        section.whole {
            details {
                summary { (words.shapes) }
                @for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
                    details lang="en" id=(format!("schema-{name}")) { summary { code { (name) } } (shape(schema)) }
                }
            }
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn paragraphs(value: &Value) -> Markup {
    html! { @for paragraph in text(value).split("\n\n") { p { (paragraph) } } }
}

/// Path, method and what stands there, in the document's order.
fn operations(document: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| item.as_object().into_iter().flatten().map(move |(method, operation)| (path, method, operation)))
}

/// What a reference leads to, or the value itself.
fn meant<'a>(value: &'a Value, document: &'a Value) -> &'a Value {
    value["$ref"].as_str().and_then(|reference| document.pointer(reference.strip_prefix('#')?)).unwrap_or(value)
}

fn operation(path: &str, method: &str, operation: &Value, document: &Value) -> Markup {
    html! {
        details id=(text(&operation["operationId"])) {
            summary { code { (method.to_uppercase()) " " (path) } " " (text(&operation["summary"])) }
            (paragraphs(&operation["description"]))
            @let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
            @if !parameters.is_empty() {
                dl { @for parameter in parameters {
                    @let parameter = meant(parameter, document);
                    div { dt { code { (text(&parameter["name"])) } " " span.quiet { (text(&parameter["in"])) } }
                        dd { (text(&parameter["description"])) " " (kind(&parameter["schema"])) } }
                } }
            }
            @if let Some(body) = operation.get("requestBody") { p { "⇢ " (content(&body["content"])) } }
            dl { @for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
                @let answer = meant(answer, document);
                div { dt { (status) } dd { (text(&answer["description"])) " " (content(&answer["content"])) } }
            } }
        }
    }
}

fn content(content: &Value) -> Markup {
    html! { @for (kind, content) in content.as_object().into_iter().flatten() {
        span.quiet { (kind) } " " (self::kind(&content["schema"])) " "
        @for (name, schema) in content["x-cloudy-events"].as_object().into_iter().flatten() { code { (name) } ": " (self::kind(schema)) " " }
    } }
}

/// How deep a shape is shown in one place.
const DEPTH: usize = 4;

/// A shape in a few words.
fn kind(schema: &Value) -> Markup {
    words_of(schema, DEPTH)
}

fn words_of(schema: &Value, depth: usize) -> Markup {
    if depth == 0 {
        return html! { "…" };
    }
    let several = ["oneOf", "anyOf", "allOf"].into_iter().find_map(|key| schema[key].as_array().map(|all| (key, all)));
    html! {
        @if let Some(reference) = schema["$ref"].as_str() {
            @let name = reference.rsplit('/').next().unwrap_or_default();
            a href=(format!("#schema-{name}")) { code { (name) } }
        } @else if let Some((key, all)) = several {
            @for (n, each) in all.iter().enumerate() { @if n > 0 { (if key == "allOf" { " & " } else { " | " }) } (words_of(each, depth - 1)) }
        } @else if let Some(all) = schema["enum"].as_array() {
            @for (n, each) in all.iter().enumerate() { @if n > 0 { " | " } code { (each.to_string()) } }
        } @else {
            code { @match &schema["type"] {
                Value::String(one) => (one),
                Value::Array(all) => @for (n, each) in all.iter().enumerate() { @if n > 0 { " | " } (text(each)) },
                _ => "",
            } }
            @if schema["items"].is_object() { " of " (words_of(&schema["items"], depth - 1)) }
            @if schema["additionalProperties"].is_object() { " of " (words_of(&schema["additionalProperties"], depth - 1)) }
        }
    }
}

/// A shape with its fields.
fn shape(schema: &Value) -> Markup {
    shape_of(schema, DEPTH)
}

fn shape_of(schema: &Value, depth: usize) -> Markup {
    let needed = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|each| each == name));
    let parts = ["oneOf", "anyOf", "allOf"].into_iter().find_map(|key| schema[key].as_array());
    html! {
        @if let Some(what) = schema["description"].as_str() { p { (what) } }
        @if let Some(fields) = schema["properties"].as_object() {
            dl { @for (name, field) in fields {
                div { dt { code { (name) } @if !needed(name) { " " span.quiet { "?" } } } dd { (text(&field["description"])) " " (kind(field)) } }
            } }
        } @else if let Some(parts) = parts.filter(|_| depth > 0) {
            ul { @for part in parts { li { @if part["$ref"].is_string() { (kind(part)) } @else { (shape_of(part, depth - 1)) } } } }
        } @else { p { (kind(schema)) } }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::http::browse::text as document_text;
    use crate::text::Lang;

    #[test]
    fn each_operation_and_shape_is_on_the_page_and_each_link_leads_there() {
        let document: Value = serde_json::from_slice(&document_text().unwrap()).unwrap();
        let caller = caller(None);
        for lang in [Lang::En, Lang::Es, Lang::Ca] {
            let view = View { node: "garden", lang, caller: &caller, owned: true };
            let html = body(&view, &document).into_string();
            assert!(html.contains(lang.api().title) && !html.contains("<script") && !html.contains("style="));
            for (_, _, operation) in operations(&document) {
                assert!(html.contains(&format!("<details id=\"{}\">", text(&operation["operationId"]))), "{operation}");
            }
            for link in html.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
                assert!(html.contains(&format!("id=\"{link}\"")), "{link} leads nowhere");
            }
            assert_eq!(html.contains(lang.api().english), lang != Lang::En);
        }
    }

    #[test]
    fn what_is_no_document_is_shown_as_nothing_and_names_are_escaped() {
        let caller = caller(None);
        let view = View { node: "garden", lang: Lang::En, caller: &caller, owned: true };
        body(&view, &Value::Null);
        let deep = (0..100).fold(serde_json::json!({ "type": "x" }), |inner, _| serde_json::json!({ "oneOf": [inner] }));
        let schemas = serde_json::json!({ "components": { "schemas": { "<b>": deep } } });
        assert!(!body(&view, &schemas).into_string().contains("<b>"));
    }
}
