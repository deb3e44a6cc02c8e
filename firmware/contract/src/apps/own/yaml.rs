//! YAML → a tree in which every value knows its line and column. Bounded: aliases are counted as what they stand for.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{Fault, Place};

/// Bytes of a text at most.
pub const TEXT_BYTES: usize = 48 * 1024;
/// Values at most, with all that aliases stand for.
const NODES: usize = 10_000;
/// Deeper nesting is no compose file's.
const DEPTH: usize = 24;

/// A value with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing stands there.
    Null,
    /// A single value.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// Keys with their places, and values. No key is there twice.
    Table(Vec<(String, Place, Node)>),
}

/// What is read so far, innermost last.
enum Open {
    List(Place, usize, Vec<Node>),
    Table(Place, usize, Vec<(String, Place, Node)>, Option<(String, Place)>),
}

struct Reader {
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Node, usize)>,
    count: usize,
    root: Option<Node>,
}

/// Reads one document.
pub fn read(text: &str) -> Result<Node, Fault> {
    if text.len() > TEXT_BYTES {
        return Err(Fault::new(Place::START, "", format!("the text has {} bytes; {TEXT_BYTES} are allowed", text.len())));
    }
    let mut reader = Reader { open: Vec::new(), anchors: BTreeMap::new(), count: 0, root: None };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let place = Place { line: error.marker().line(), column: error.marker().col() + 1 };
            Fault::new(place, "", format!("this is no YAML: {}", error.info()))
        })?;
        reader.take(event, Place { line: span.start.line(), column: span.start.col() + 1 })?;
    }
    reader.root.ok_or_else(|| Fault::new(Place::START, "", "nothing stands here"))
}

impl Reader {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), Fault> {
        let refuse = |why: &str| Err(Fault::new(place, "", why));
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => refuse("a second document begins here: one file is one project"),
            Event::DocumentStart(_) => Ok(()),
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                refuse("tags (`!…`) are not understood here: leave it out")
            }
            Event::Scalar(text, style, anchor, None) => {
                let plain = style == ScalarStyle::Plain;
                let value = match text.as_ref() {
                    "" | "~" | "null" | "Null" | "NULL" if plain => Value::Null,
                    text => Value::Scalar(text.to_owned()),
                };
                self.add(Node { place, value }, anchor, 1)
            }
            Event::SequenceStart(anchor, None) => self.begin(Open::List(place, anchor, Vec::new()), place),
            Event::MappingStart(anchor, None) => self.begin(Open::Table(place, anchor, Vec::new(), None), place),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(place, anchor, items)) => self.add(Node { place, value: Value::List(items) }, anchor, 1),
                Some(Open::Table(place, anchor, pairs, _)) => {
                    let pairs = merged(pairs)?;
                    self.add(Node { place, value: Value::Table(pairs) }, anchor, 1)
                }
                None => refuse("this is no YAML: something ends that was not begun"),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some((node, size)) => {
                    let (node, size) = (Node { place, value: node.value.clone() }, *size);
                    self.add(node, 0, size)
                }
                None => refuse("this alias stands for something that is not whole yet"),
            },
        }
    }

    fn begin(&mut self, open: Open, place: Place) -> Result<(), Fault> {
        if self.open.len() >= DEPTH {
            return Err(Fault::new(place, "", format!("it is nested deeper than {DEPTH} levels")));
        }
        self.open.push(open);
        Ok(())
    }

    /// Puts a value where it belongs. `size` is how many values it is counted for.
    fn add(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Fault> {
        self.count = self.count.saturating_add(size);
        if self.count > NODES {
            let why = format!("more than {NODES} values, with those that aliases stand for");
            return Err(Fault::new(node.place, "", why));
        }
        if anchor != 0 {
            let size = values(&node);
            // A copy for each time that it may be named.
            self.count = self.count.saturating_add(size);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, _, items)) => items.push(node),
            Some(Open::Table(_, _, pairs, key)) => match (key.take(), node) {
                (Some((key, place)), node) => pairs.push((key, place, node)),
                (None, Node { place, value: Value::Scalar(name) }) => {
                    if name != MERGE && pairs.iter().any(|(other, _, _)| *other == name) {
                        return Err(Fault::new(place, &name, "this key is given twice"));
                    }
                    *key = Some((name, place));
                }
                (None, Node { place, .. }) => return Err(Fault::new(place, "", "a key is a single word")),
            },
        }
        Ok(())
    }
}

/// The key whose value's keys hold where they are not given.
const MERGE: &str = "<<";

fn merged(pairs: Vec<(String, Place, Node)>) -> Result<Vec<(String, Place, Node)>, Fault> {
    let (merges, mut own): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _, _)| name == MERGE);
    for (_, place, node) in merges {
        let tables = match node.value {
            Value::List(items) => items,
            _ => vec![node],
        };
        for table in tables {
            let Value::Table(pairs) = table.value else {
                return Err(Fault::new(place, MERGE, "what is merged is a table of keys, or a list of such"));
            };
            for (name, place, node) in pairs {
                if !own.iter().any(|(other, _, _)| *other == name) {
                    own.push((name, place, node));
                }
            }
        }
    }
    Ok(own)
}

fn values(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Scalar(..) => 1,
        Value::List(items) => 1 + items.iter().map(values).sum::<usize>(),
        Value::Table(pairs) => 1 + pairs.iter().map(|(_, _, node)| 1 + values(node)).sum::<usize>(),
    }
}
