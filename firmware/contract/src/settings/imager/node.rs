//! TOML and YAML as one kind of tree, in which every value knows its bytes.

use super::super::MASK;
use super::super::read::{Mistake, mistake};
use saphyr_parser::{Event, Parser};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Deeper nesting is none of Imager's.
const DEPTH_MAX: usize = 16;

/// A value with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its bytes in the text, quotes included.
    pub span: Range<usize>,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    /// A single value, as text.
    Scalar(String),
    List(Vec<Node>),
    /// Keys (scalars) and values, in order.
    Table(Vec<(Node, Node)>),
}

impl Node {
    /// A single value's text.
    pub fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is `true`.
    pub fn is_true(&self) -> bool {
        self.scalar().is_some_and(|text| matches!(text, "true" | "yes" | "on" | "True"))
    }

    /// Whether it is a single value that stands in the text and is not empty: YAML's nothing stands nowhere.
    pub fn is_written(&self) -> bool {
        !self.span.is_empty() && self.scalar().is_some_and(|text| !text.is_empty())
    }

    /// A secret that was moved away.
    pub fn is_masked(&self) -> bool {
        self.scalar().is_some_and(|text| !text.is_empty() && text.chars().all(|c| c == MASK))
    }

    /// The items of a list; a single value is a list of one.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Scalar(_) => std::slice::from_ref(self),
            Value::Table(_) => &[],
        }
    }

    /// Keys and values of a table.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &Self, &Self)> {
        let pairs: &[(Self, Self)] = match &self.value {
            Value::Table(pairs) => pairs,
            _ => &[],
        };
        pairs.iter().map(|(key, value)| (key.scalar().unwrap_or_default(), key, value))
    }

    /// Whether it is a table.
    pub fn is_table(&self) -> bool {
        matches!(self.value, Value::Table(_))
    }
}

/// Reads TOML.
pub fn of_toml(text: &str) -> Result<Node, Vec<Mistake>> {
    let shift = text.len() - text.trim_start_matches('\u{feff}').len();
    let body = text.get(shift..).unwrap_or_default();
    let root = DeTable::parse(body).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        vec![mistake(body, at, error.message().trim().to_owned())]
    })?;
    let span = root.span();
    Ok(table(root.get_ref(), span, shift))
}

fn table(table: &DeTable<'_>, span: Range<usize>, shift: usize) -> Node {
    let mut pairs: Vec<(Node, Node)> = table
        .iter()
        .map(|(key, value)| {
            let span = key.span().start + shift..key.span().end + shift;
            (Node { span, value: Value::Scalar(key.get_ref().to_string()) }, of_value(value, shift))
        })
        .collect();
    pairs.sort_by_key(|(key, _)| key.span.start);
    Node { span: span.start + shift..span.end + shift, value: Value::Table(pairs) }
}

fn of_value(value: &Spanned<DeValue<'_>>, shift: usize) -> Node {
    let span = value.span();
    let plain = match value.get_ref() {
        DeValue::Table(inner) => return table(inner, span, shift),
        DeValue::Array(items) => Value::List(items.iter().map(|item| of_value(item, shift)).collect()),
        DeValue::String(text) => Value::Scalar(text.to_string()),
        DeValue::Boolean(yes) => Value::Scalar(yes.to_string()),
        DeValue::Integer(number) => Value::Scalar(number.as_str().to_owned()),
        DeValue::Float(number) => Value::Scalar(number.as_str().to_owned()),
        DeValue::Datetime(time) => Value::Scalar(time.to_string()),
    };
    Node { span: span.start + shift..span.end + shift, value: plain }
}

/// Reads the first document of a YAML text. Anchors and aliases, which Imager never writes, are refused: they are how a
/// short text becomes a large one.
pub fn of_yaml(text: &str) -> Result<Node, Vec<Mistake>> {
    // The parser counts characters.
    let bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let byte = |index: usize| bytes.get(index).copied().unwrap_or(text.len());
    let wrong = |at: usize, what: &str| vec![mistake(text, at, what.to_owned())];
    // Open lists and tables, each with its start and what it has so far.
    let mut open: Vec<(usize, bool, Vec<Node>)> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| wrong(byte(error.marker().index()), error.info()))?;
        let (start, end) = (byte(span.start.index()), byte(span.end.index()));
        let done = match event {
            Event::Alias(_) => return Err(wrong(start, "aliases (`*name`) are not read")),
            Event::Scalar(words, ..) => {
                // A plain value's end may take the space behind it along.
                let shown = text.get(start..end).unwrap_or_default();
                let end = start + shown.trim_end().len();
                Some(Node { span: start..end, value: Value::Scalar(words.into_owned()) })
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if open.len() >= DEPTH_MAX {
                    return Err(wrong(start, "this is nested too deeply"));
                }
                open.push((start, matches!(event, Event::MappingStart(..)), Vec::new()));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|(start, is_table, items)| {
                let value = if is_table { Value::Table(pairs(items)) } else { Value::List(items) };
                Node { span: start..end, value }
            }),
            Event::DocumentEnd | Event::StreamEnd => break,
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => None,
        };
        if let Some(node) = done {
            match open.last_mut() {
                Some((_, _, items)) => items.push(node),
                None => return Ok(node),
            }
        }
    }
    Ok(Node { span: 0..0, value: Value::Table(Vec::new()) })
}

/// Keys and values, which come one after the other.
fn pairs(items: Vec<Node>) -> Vec<(Node, Node)> {
    let mut items = items.into_iter();
    let mut pairs = Vec::new();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    pairs
}
