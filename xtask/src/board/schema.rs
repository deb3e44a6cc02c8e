//! JSON schemas of board, flavour and app files, for editors. They are traced from the very structs that read the files, so
//! that they never lag behind; what each key is for is taken from the tables of `docs/adding-a-board.md` and `docs/adding-an-app.md`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

use super::raw::{RawBoard, RawFlavour};

/// The documents that say what each key is for.
const BOARDS: &str = include_str!("../../../docs/adding-a-board.md");
const APPS: &str = include_str!("../../../docs/adding-an-app.md");
/// Stands in those for the name that a person gives to a port, a volume or a setting.
const ANY_NAME: &str = "NAME";
/// What `toml::Spanned` calls itself to a deserializer: a value with its place.
const SPANNED: &str = "Spanned";

/// The schema of `family.toml` and `<board>.toml`.
pub fn board() -> Value {
    finish::<RawBoard>("A board or family of cloudy", BOARDS, "## Keys\n")
}

/// The schema of `image.toml`.
pub fn flavour() -> Value {
    finish::<RawFlavour>("A flavour of cloudy", BOARDS, "## Keys of a flavour\n")
}

/// The schema of `app.toml`.
pub fn app() -> Value {
    finish::<contract::apps::RawApp>("An app of cloudy", APPS, "## Keys\n")
}

/// A schema as it is printed and committed.
pub fn text(schema: &Value) -> String {
    format!("{schema:#}\n")
}

fn finish<T: for<'de> Deserialize<'de>>(title: &str, document: &str, section: &str) -> Value {
    let mut schema = trace::<T>();
    describe(&mut schema, "", &words(document, section));
    if let Value::Object(map) = &mut schema {
        map.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
        map.insert("title".to_owned(), json!(title));
    }
    schema
}

/// Key (dotted) → what it is for, from a table of the document: "| `key`, `other` | what | `example` |".
fn words(document: &str, section: &str) -> BTreeMap<String, String> {
    let table = document.split_once(section).map(|(_, rest)| rest).unwrap_or_default();
    let table = table.split("\n## ").next().unwrap_or_default();
    let mut words = BTreeMap::new();
    for line in table.lines().filter(|line| line.starts_with("| `")) {
        // A `\|` inside a cell is no border.
        let line = line.replace("\\|", "\u{1}");
        let cells: Vec<String> = line.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect();
        let (Some(keys), Some(what)) = (cells.get(1), cells.get(2)) else { continue };
        let example = cells.get(3).map(|cell| format!("; example: {}", cell.trim_matches('`'))).unwrap_or_default();
        for key in keys.split('`').skip(1).step_by(2) {
            words.insert(key.to_owned(), format!("{what}{example}"));
        }
    }
    words
}

fn describe(schema: &mut Value, at: &str, words: &BTreeMap<String, String>) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (key, value) in properties {
        let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        if let (Some(text), Some(map)) = (words.get(&path), value.as_object_mut()) {
            map.insert("description".to_owned(), json!(text));
        }
        describe(value, &path, words);
        if let Some(each) = value.get_mut("additionalProperties") {
            describe(each, &format!("{path}.{ANY_NAME}"), words);
        }
    }
}

/// The schema of a type, by letting it read itself from a [`Tracer`].
fn trace<T: for<'de> Deserialize<'de>>() -> Value {
    let mut required: Vec<String> = Vec::new();
    // A key that is missing is told one at a time.
    while let Err(TraceError::Missing(key)) = T::deserialize(Only(&required)) {
        if required.contains(&key) {
            break;
        }
        required.push(key);
    }
    let mut schema = json!({});
    // What a type thinks of the values that it is given does not matter: its shape is known by then.
    let _ = T::deserialize(Tracer(&mut schema));
    if let (false, Value::Object(map)) = (required.is_empty(), &mut schema) {
        map.insert("required".to_owned(), json!(required));
    }
    schema
}

/// Why a type could not be read.
#[derive(Debug)]
enum TraceError {
    Missing(String),
    Other(String),
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "`{key}` is missing"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for TraceError {}

impl de::Error for TraceError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Other(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field.to_owned())
    }
}

/// Gives a struct these keys alone.
struct Only<'a>(&'a [String]);

impl<'de> Deserializer<'de> for Only<'_> {
    type Error = TraceError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TraceError> {
        let mut unused = json!({});
        visitor.visit_map(Fields { names: self.0.iter().map(String::as_str).collect(), next: 0, found: &mut unused })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Notes what is asked of it as a schema, and gives something of that shape.
struct Tracer<'a>(&'a mut Value);

macro_rules! plain {
    ($($method:ident $visit:ident $value:expr, $kind:literal;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TraceError> {
            *self.0 = json!({ "type": $kind });
            visitor.$visit($value)
        })*
    };
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = TraceError;

    plain! {
        deserialize_bool visit_bool false, "boolean";
        deserialize_i8 visit_i8 1, "integer";
        deserialize_i16 visit_i16 1, "integer";
        deserialize_i32 visit_i32 1, "integer";
        deserialize_i64 visit_i64 1, "integer";
        deserialize_u8 visit_u8 1, "integer";
        deserialize_u16 visit_u16 1, "integer";
        deserialize_u32 visit_u32 1, "integer";
        deserialize_u64 visit_u64 1, "integer";
        deserialize_f32 visit_f32 1.0, "number";
        deserialize_f64 visit_f64 1.0, "number";
        deserialize_char visit_char 'a', "string";
        deserialize_str visit_str "a", "string";
        deserialize_string visit_str "a", "string";
        deserialize_bytes visit_str "a", "string";
        deserialize_byte_buf visit_str "a", "string";
        deserialize_identifier visit_str "a", "string";
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TraceError> {
        visitor.visit_str("a")
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TraceError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, TraceError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TraceError> {
        *self.0 = json!({ "type": "array", "items": {} });
        visitor.visit_seq(One { done: false, found: &mut self.0["items"] })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, TraceError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TraceError> {
        *self.0 = json!({ "type": "object", "additionalProperties": {} });
        visitor.visit_map(One { done: false, found: &mut self.0["additionalProperties"] })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TraceError> {
        if name.contains(SPANNED) {
            return visitor.visit_map(Place { fields, next: 0, found: self.0 });
        }
        *self.0 = json!({ "type": "object", "additionalProperties": false, "properties": {} });
        visitor.visit_map(Fields { names: fields.to_vec(), next: 0, found: &mut self.0["properties"] })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TraceError> {
        *self.0 = json!({ "enum": variants });
        let first: StrDeserializer<'_, TraceError> = variants.first().copied().unwrap_or_default().into_deserializer();
        visitor.visit_enum(first)
    }

    serde::forward_to_deserialize_any! { i128 u128 unit unit_struct tuple_struct ignored_any }
}

/// A struct's keys, one after the other, each traced into its own place.
struct Fields<'a> {
    names: Vec<&'a str>,
    next: usize,
    found: &'a mut Value,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = TraceError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, TraceError> {
        let Some(name) = self.names.get(self.next) else { return Ok(None) };
        let name: StrDeserializer<'_, TraceError> = (*name).into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, TraceError> {
        let name = self.names.get(self.next).copied().unwrap_or_default().to_owned();
        self.next += 1;
        let mut traced = json!({});
        let value = seed.deserialize(Tracer(&mut traced));
        if let Value::Object(map) = &mut *self.found {
            map.insert(name, traced);
        }
        value
    }
}

/// A value with its place in the file (`start`, `end`, `value`): the value is traced.
struct Place<'a> {
    fields: &'static [&'static str],
    next: usize,
    found: &'a mut Value,
}

impl<'de> MapAccess<'de> for Place<'_> {
    type Error = TraceError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, TraceError> {
        let Some(name) = self.fields.get(self.next) else { return Ok(None) };
        // It asks for names that outlive the reading.
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, TraceError> {
        self.next += 1;
        if self.next < self.fields.len() {
            let place: de::value::UsizeDeserializer<TraceError> = 0usize.into_deserializer();
            return seed.deserialize(place);
        }
        seed.deserialize(Tracer(self.found))
    }
}

/// A list or table with one entry.
struct One<'a> {
    done: bool,
    found: &'a mut Value,
}

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = TraceError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, TraceError> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(None);
        }
        seed.deserialize(Tracer(self.found)).map(Some)
    }
}

impl<'de> MapAccess<'de> for One<'_> {
    type Error = TraceError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, TraceError> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(None);
        }
        let mut unused: Map<String, Value> = Map::new();
        seed.deserialize(Tracer(unused.entry("key").or_insert(Value::Null))).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, TraceError> {
        seed.deserialize(Tracer(self.found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Every key of a schema, dotted; tables of free keys end there unless tables of known ones follow.
    fn keys(schema: &Value, at: &str, found: &mut Vec<String>) {
        for (key, value) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            let each = value.get("additionalProperties").filter(|each| each.get("properties").is_some());
            if let Some(each) = each {
                keys(each, &format!("{path}.{ANY_NAME}"), found);
            } else if value.get("properties").is_some() {
                keys(value, &path, found);
            } else {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_key_has_its_row_in_the_document_and_every_row_its_key() {
        let all = [(board(), BOARDS, "## Keys\n"), (flavour(), BOARDS, "## Keys of a flavour\n"), (app(), APPS, "## Keys\n")];
        for (schema, document, section) in all {
            let mut known = Vec::new();
            keys(&schema, "", &mut known);
            let rows: Vec<String> = words(document, section).into_keys().collect();
            known.sort();
            assert_eq!(known, rows, "{section}: left what the code knows, right what the table says");
        }
    }

    /// Editors read the committed files: `UPDATE_EXPECT=1 cargo test -p xtask golden` writes them anew.
    #[test]
    fn golden_schemas_are_those_of_the_code() {
        expect_test::expect_file!["../../../board-configs/schema.json"].assert_eq(&text(&board()));
        expect_test::expect_file!["../../../images/os/schema.json"].assert_eq(&text(&flavour()));
        expect_test::expect_file!["../../../images/apps/schema.json"].assert_eq(&text(&app()));
    }

    #[test]
    fn a_schema_tells_kinds_values_and_what_is_needed() {
        let board = board();
        assert_eq!(board["properties"]["arch"]["enum"], json!(["amd64", "arm64", "armhf"]));
        assert_eq!(board["properties"]["consoles"]["items"], json!({ "type": "string" }));
        assert_eq!(board["properties"]["modules"]["properties"]["keep"]["type"], "array");
        assert_eq!(board["additionalProperties"], json!(false));
        assert!(board["properties"]["kernel"]["description"].as_str().unwrap().contains("kernel"));
        let flavour = flavour();
        assert_eq!(flavour["required"], json!(["title", "packages"]));
        assert_eq!(flavour["properties"]["providers"]["additionalProperties"], json!({ "type": "string" }));
    }

    /// A checker for the few words of JSON schema that the schemas use.
    fn fits(schema: &Value, value: &Value) -> bool {
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
            return allowed.contains(value);
        }
        match (schema.get("type").and_then(Value::as_str), value) {
            (Some("string"), Value::String(_)) | (Some("integer"), Value::Number(_)) | (Some("boolean"), Value::Bool(_)) => true,
            (Some("array"), Value::Array(items)) => items.iter().all(|item| fits(&schema["items"], item)),
            (Some("object"), Value::Object(map)) => map.iter().all(|(key, value)| match schema["properties"].get(key) {
                Some(inner) => fits(inner, value),
                None => schema["additionalProperties"].is_object() && fits(&schema["additionalProperties"], value),
            }),
            (None, _) => true,
            _ => false,
        }
    }

    #[test]
    fn the_repo_s_own_files_fit() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut seen = 0;
        let mut look = |folder: &str, schema: &Value, name: &dyn Fn(&str) -> bool| {
            for family in std::fs::read_dir(root.join(folder)).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
                for file in std::fs::read_dir(family.path()).unwrap().flatten() {
                    let path = file.path();
                    if name(&path.file_name().unwrap().to_string_lossy()) {
                        let value: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
                        assert!(fits(schema, &serde_json::to_value(value).unwrap()), "{}", path.display());
                        seen += 1;
                    }
                }
            }
        };
        look("board-configs", &board(), &|name| name.ends_with(".toml"));
        look("images/os", &flavour(), &|name| name == "image.toml");
        look("images/apps", &app(), &|name| name == "app.toml");
        assert!(seen >= 3);
        assert!(!fits(&board(), &json!({ "titel": "x" })) && !fits(&board(), &json!({ "arch": "amd46" })));
    }
}
