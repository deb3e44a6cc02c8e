//! What is shown of the registry: plain values for API, page and command line.

use cluster::records::{Phase, Slot};
use serde::Serialize;

/// How far the community agrees, and how this node's records are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct RegistryView {
    /// The hash over the whole view in hexadecimal; empty while the database is not open.
    pub root: String,
    /// Members of the community.
    pub members: usize,
    /// Members that were heard to hold this view, this node among them.
    pub holders: usize,
    /// How this node stands to its own records.
    pub phase: OwnPhase,
    /// The newest own head's epoch: one for each start.
    pub epoch: u32,
    /// The newest own head's sequence.
    pub sequence: u64,
    /// What is wrong with the database, with its mend.
    pub problem: Option<String>,
    /// What this node had of its own records was an older copy than what its neighbours had: its card was restored.
    pub restored: bool,
    /// The owner whose this node is, as its public key in hexadecimal; none where it is nobody's.
    pub owner: Option<String>,
    /// The other members that are that owner's, by id.
    pub household: Vec<String>,
    /// Where a damaged database was put aside at this start, and what was wrong with it.
    pub put_aside: Option<String>,
    /// Other members whose card runs twice, or did within the last hour, as what they signed proves: ids in hexadecimal.
    pub copied: Vec<String>,
}

/// How this node stands to its own records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OwnPhase {
    /// The database is being opened.
    #[default]
    Opening,
    /// Neighbours are asked for this node's own newest head; writes are kept, and published after that.
    Asking,
    /// Neighbours hold a later life of this node: its data is an old copy, and that is taken over.
    Adopting,
    /// Writes are kept and published.
    Open,
    /// This node's card runs twice: writes are refused.
    Copied,
}

impl From<Phase> for OwnPhase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Asking => Self::Asking,
            Phase::Adopting => Self::Adopting,
            Phase::Open => Self::Open,
            Phase::Copied => Self::Copied,
        }
    }
}

impl RegistryView {
    /// How far the community agrees, in words.
    pub fn words(&self) -> String {
        let Self { holders, members, .. } = self;
        format!("{holders} of {members} {} this view", if *members == 1 { "node holds" } else { "nodes hold" })
    }

    /// What people should know, each a sentence with its mend. `name` says what a member is called, by its id.
    pub fn problems(&self, name: impl Fn(&str) -> String) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(self.problem.as_ref().map(|why| format!("this node can't keep records: {why}; what it holds can still be read")));
        problems.extend(
            self.put_aside.as_ref().map(|place| {
                format!("this node's records were damaged and lie aside as {place}; they are fetched again from its neighbours")
            }),
        );
        if self.phase == OwnPhase::Copied {
            problems.push(
                "this node's card was copied, and the copy is running too: take one of the two out, remove `net` from its data folder, and let it join anew"
                    .to_owned(),
            );
        } else if self.restored && self.put_aside.is_none() {
            problems.push(
                "this node's data is an older copy of itself, or is in use twice; what it had published since then came back from its neighbours, but apps, people and settings are as they were: look whether they are as you want them, and that the other card stays off"
                    .to_owned(),
            );
        }
        problems.extend(self.copied.iter().map(|id| {
            format!(
                "the card of the member {} was copied, and both ran at once within the last hour, so one of the two is not heard; tell its owner: one of them is to be taken out, to have `net` removed from its data folder, and to join anew",
                name(id)
            )
        }));
        problems
    }
}

/// Records of a node have changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = RecordsChanged))]
#[serde(rename_all = "kebab-case")]
pub struct Changed {
    /// The node's id in hexadecimal.
    pub node: String,
    /// Which of its records.
    pub records: Vec<ChangedRecord>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ChangedRecord {
    /// The kind in a word.
    pub kind: &'static str,
    /// The key.
    pub key: String,
}

impl From<Slot> for ChangedRecord {
    fn from(slot: Slot) -> Self {
        Self { kind: slot.kind.word(), key: slot.key }
    }
}
