//! What a node is, as a record that all hold: name, addresses, version, board.

use cluster::{
    card,
    records::{Change, Kind, Record, Slot},
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The layout that this version writes.
const SCHEMA: u16 = 1;
/// Longest text of a fact in bytes.
const MAX_TEXT_BYTES: usize = 120;

/// What the machine is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Machine {
    /// The machine's model, as its firmware says.
    pub board: String,
    /// Build id of the image; empty outside an image.
    pub build: String,
    /// Processor architecture.
    pub architecture: String,
    /// Processors.
    pub cpus: u32,
    /// Memory in megabytes.
    pub memory_mb: u64,
}

/// What a node says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Facts {
    /// Name that its owner gave it.
    pub name: String,
    /// Version of its agent.
    pub version: String,
    /// Where others can reach it.
    pub addresses: Vec<SocketAddr>,
    /// What the machine is.
    #[serde(flatten)]
    pub machine: Machine,
}

impl Facts {
    /// Where they stand among a node's records.
    pub fn slot() -> Slot {
        Slot { kind: Kind::FACTS, key: "node".to_owned() }
    }

    /// The change that says them.
    pub fn put(&self) -> Change {
        Change::Put { slot: Self::slot(), schema: SCHEMA, value: serde_json::to_vec(self).unwrap_or_default() }
    }

    /// What a record says; none if this version can't read it, or it breaks a limit.
    pub fn of(record: &Record) -> Option<Self> {
        let facts: Self = (record.schema == SCHEMA).then(|| serde_json::from_slice(&record.value).ok()).flatten()?;
        let Machine { board, build, architecture, .. } = &facts.machine;
        let texts = [&facts.name, &facts.version, board, build, architecture];
        let good = texts.into_iter().all(|text| text.len() <= MAX_TEXT_BYTES && !text.chars().any(char::is_control));
        (good && facts.addresses.len() <= card::MAX_CARD_ADDRESSES).then_some(facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::records::Order;

    #[test]
    fn facts_are_read_back_and_nonsense_says_nothing() {
        let machine = Machine { board: "Raspberry Pi 3 Model B".to_owned(), cpus: 4, ..Machine::default() };
        let facts = Facts { name: "garden".to_owned(), addresses: vec!["10.0.0.1:4747".parse().unwrap()], machine, ..Facts::default() };
        let Change::Put { slot, schema, value } = facts.put() else { panic!() };
        let record = |value| Record { written: Order::default(), schema, slot: slot.clone(), value };
        assert_eq!(Facts::of(&record(value)), Some(facts.clone()));
        assert_eq!(Facts::of(&record(b"{\"later\":1}".to_vec())), Some(Facts::default()));
        let bad = Facts { name: "\u{1b}[2J".to_owned(), ..facts };
        assert_eq!(Facts::of(&record(serde_json::to_vec(&bad).unwrap())), None);
        assert_eq!(Facts::of(&record(b"nonsense".to_vec())), None);
    }
}
