//! What becomes of an offer before anybody looks at it: the owner's policy (pure).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Nodes that a policy names at most.
const MAX_NODES: usize = 256;

/// What is done with offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = LeaseConsent))]
#[serde(rename_all = "kebab-case")]
pub enum Consent {
    /// They are taken at once.
    Accept,
    /// An owner is asked.
    #[default]
    Ask,
    /// They are refused at once.
    Refuse,
}

/// The owner's policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = LeasePolicy))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Policy {
    /// For nodes that are not named. Nobody is taken at once by this: who is, is named.
    pub others: Consent,
    /// By a node's id.
    pub nodes: BTreeMap<String, Consent>,
    /// Apps of others that run here at most.
    pub most: u16,
}

impl Default for Policy {
    fn default() -> Self {
        Self { others: Consent::Ask, nodes: BTreeMap::new(), most: 8 }
    }
}

/// What is known of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Who offers.
    pub from: &'a str,
    /// Whether it is for machines like this one.
    pub fits: bool,
    /// Whether an app of that name is installed here, or on its way by another lease.
    pub here: bool,
    /// Whether the catalog has an app of that name in another version, which would be replaced.
    pub replaces: bool,
    /// Apps of others that run here, or are about to.
    pub running: usize,
    /// Whether who offers is a node of this one's owner.
    pub own: bool,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken.
    Accept,
    /// An owner decides.
    Ask,
    /// It is not, for that reason.
    Refuse(String),
}

impl Policy {
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if self.others == Consent::Accept {
            return Err("offers of all nodes can't be taken at once: name the nodes whose apps may run here without being asked".to_owned());
        }
        if self.nodes.len() > MAX_NODES {
            return Err(format!("at most {MAX_NODES} nodes can be named"));
        }
        match self.nodes.keys().find(|node| !crate::net::is_hash(node)) {
            Some(node) => {
                Err(format!("`{}` is no id of a node: it has 64 hexadecimal digits, as `cloudy nodes` shows", node.escape_debug()))
            }
            None => Ok(()),
        }
    }

    /// Why an app can't run here, whoever would like it to.
    fn hindrance(&self, asked: &Asked<'_>) -> Option<String> {
        if !asked.fits {
            return Some("the app is for another kind of machine".to_owned());
        }
        if asked.here {
            return Some("an app of that name is installed here already".to_owned());
        }
        (asked.running >= usize::from(self.most)).then(|| format!("{} apps of others run here, as many as its owner allows", asked.running))
    }

    /// What becomes of an offer when it comes.
    pub fn judge(&self, asked: &Asked<'_>) -> Verdict {
        // Among the nodes of one owner nobody is asked, unless the owner says otherwise of one by name.
        let unnamed = if asked.own { Consent::Accept } else { self.others };
        match self.nodes.get(asked.from).copied().unwrap_or(unnamed) {
            Consent::Refuse => Verdict::Refuse("its owner takes no offers of this node".to_owned()),
            // Nobody's catalog is changed without being asked.
            Consent::Accept if !asked.replaces => self.hindrance(asked).map_or(Verdict::Accept, Verdict::Refuse),
            Consent::Accept | Consent::Ask => match self.hindrance(asked) {
                Some(why) if !asked.fits => Verdict::Refuse(why),
                _ => Verdict::Ask,
            },
        }
    }

    /// Whether an owner's yes can be.
    ///
    /// # Errors
    /// Why not.
    pub fn agree(&self, asked: &Asked<'_>) -> Result<(), String> {
        self.hindrance(asked).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked<'_> = Asked { from: "aa", fits: true, here: false, replaces: false, running: 0, own: false };

    #[test]
    fn nothing_runs_without_consent_and_a_named_node_has_it() {
        let policy = Policy { nodes: [("aa".to_owned(), Consent::Accept), ("bb".to_owned(), Consent::Refuse)].into(), ..Policy::default() };
        assert_eq!(Policy::default().judge(&ASKED), Verdict::Ask);
        assert_eq!(policy.judge(&ASKED), Verdict::Accept);
        assert_eq!(policy.judge(&Asked { from: "cc", ..ASKED }), Verdict::Ask);
        assert!(matches!(policy.judge(&Asked { from: "bb", ..ASKED }), Verdict::Refuse(_)));
        assert_eq!(policy.judge(&Asked { replaces: true, ..ASKED }), Verdict::Ask, "an owner's catalog is the owner's");
        assert!(matches!(policy.judge(&Asked { here: true, ..ASKED }), Verdict::Refuse(_)));
        assert!(matches!(policy.judge(&Asked { running: 8, ..ASKED }), Verdict::Refuse(_)));
        assert!(matches!(Policy::default().judge(&Asked { fits: false, ..ASKED }), Verdict::Refuse(_)));
        assert!(policy.agree(&ASKED).is_ok() && policy.agree(&Asked { running: 8, ..ASKED }).is_err());
    }

    #[test]
    fn among_the_nodes_of_one_owner_nobody_is_asked_but_for_the_catalog_and_for_whom_the_owner_names() {
        let own = Asked { own: true, ..ASKED };
        for others in [Consent::Ask, Consent::Refuse] {
            assert_eq!(Policy { others, ..Policy::default() }.judge(&own), Verdict::Accept);
        }
        assert_eq!(Policy::default().judge(&ASKED), Verdict::Ask);
        assert_eq!(Policy::default().judge(&Asked { replaces: true, ..own }), Verdict::Ask);
        let refused = Policy { nodes: [("aa".to_owned(), Consent::Refuse)].into(), ..Policy::default() };
        assert!(matches!(refused.judge(&own), Verdict::Refuse(_)));
        assert!(matches!(Policy::default().judge(&Asked { here: true, ..own }), Verdict::Refuse(_)));
    }

    #[test]
    fn a_policy_names_whom_it_takes_at_once() {
        let named = Policy { nodes: [("0f".repeat(32), Consent::Accept)].into(), ..Policy::default() };
        assert!(named.check().is_ok() && Policy::default().check().is_ok());
        assert!(Policy { others: Consent::Accept, ..Policy::default() }.check().is_err());
        assert!(Policy { nodes: [("roof".to_owned(), Consent::Accept)].into(), ..Policy::default() }.check().unwrap_err().contains("roof"));
    }
}
