//! Which blobs this node holds and why, and which go when room is needed. All of it is decided here, and nothing is done.

use crate::net::{BlobFacts, MAX_TOLD};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who may read a blob by its hash. Each includes those before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = BlobVisibility))]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// Those who may on this node, and nobody else.
    Private,
    /// Every node of the microcloud, which are told of it.
    #[default]
    Community,
    /// Everybody who reaches this node, too.
    Public,
}

/// One blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Held {
    /// What it is. `public` says what the holders said when it was fetched; who may read it here is `visibility`.
    #[serde(flatten)]
    pub facts: BlobFacts,
    /// Who may read it.
    pub visibility: Visibility,
    /// Whether it stays when room is needed.
    pub pinned: bool,
    /// Whether all of it is on this node's disk; else it is being fetched.
    pub complete: bool,
    /// When it was used last, counted in uses of all blobs.
    pub used: u64,
    /// How far this node is with the app in it.
    #[serde(default)]
    pub taking: Taking,
}

/// What is done with a blob that is an app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = BlobApp))]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Taking {
    /// Nothing.
    #[default]
    No,
    /// Once it is here, the app in it goes into the catalog.
    Wanted {
        /// Whether it may take the place of a signed catalog's app of that name: somebody said so.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        replace: bool,
    },
    /// This node knows it: it was taken into the catalog, or shared from there.
    Taken,
    /// It could not.
    Refused {
        /// Why.
        why: String,
    },
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Kept {
    /// Bytes that blobs may have together; none for half of the disk.
    pub quota_bytes: Option<u64>,
    /// Uses so far.
    pub uses: u64,
    /// By hash.
    pub blobs: BTreeMap<String, Held>,
}

/// There is no room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{needed} bytes are needed, where {left} of the {quota} for blobs are left beside what is pinned: remove some, unpin some, or set more (`cloudy blob quota`)"
)]
pub struct NoRoom {
    /// Bytes that are needed.
    pub needed: u64,
    /// Bytes that could be had.
    pub left: u64,
    /// Bytes for all blobs.
    pub quota: u64,
}

impl Kept {
    /// Bytes of all, those that are still being fetched too.
    pub fn sum(&self) -> u64 {
        self.blobs.values().fold(0, |sum, held| sum.saturating_add(held.facts.size_bytes))
    }

    /// Bytes of what must stay.
    fn pinned(&self) -> u64 {
        self.blobs.values().filter(|held| held.stays()).fold(0, |sum, held| sum.saturating_add(held.facts.size_bytes))
    }

    /// Bytes that could be had for one more.
    pub fn left(&self, quota: u64) -> u64 {
        quota.saturating_sub(self.pinned())
    }

    /// Which blobs go so that there is room for so many bytes more: of those that are not pinned the ones that were used least lately.
    ///
    /// # Errors
    /// There is no room even then; nothing need go.
    pub fn make_room(&self, needed: u64, quota: u64) -> Result<Vec<String>, NoRoom> {
        if needed > self.left(quota) {
            return Err(NoRoom { needed, left: self.left(quota), quota });
        }
        let mut over = self.sum().saturating_add(needed).saturating_sub(quota);
        let mut loose: Vec<(&String, &Held)> = self.blobs.iter().filter(|(_, held)| !held.stays()).collect();
        loose.sort_by_key(|(_, held)| held.used);
        let mut gone = Vec::new();
        for (hash, held) in loose {
            if over == 0 {
                break;
            }
            over = over.saturating_sub(held.facts.size_bytes);
            gone.push(hash.clone());
        }
        Ok(gone)
    }

    /// Makes room for a blob; how many bytes go for it.
    ///
    /// # Errors
    /// There is no room; nothing has gone.
    pub fn room_for(&mut self, hash: &str, needed: u64, quota: u64) -> Result<u64, NoRoom> {
        let before = self.blobs.remove(hash);
        let gone = self.make_room(needed, quota);
        self.blobs.extend(before.map(|held| (hash.to_owned(), held)));
        let gone = gone?;
        Ok(gone.iter().filter_map(|hash| self.blobs.remove(hash)).fold(0, |sum, held| sum.saturating_add(held.facts.size_bytes)))
    }

    /// Bytes of what is being fetched, at most.
    pub fn coming(&self) -> u64 {
        self.blobs.values().filter(|held| !held.complete).fold(0, |sum, held| sum.saturating_add(held.facts.size_bytes))
    }

    /// Notes that something of these is missing.
    pub fn are_not_whole<'a>(&mut self, hashes: impl Iterator<Item = &'a String>) {
        for hash in hashes {
            self.blobs.get_mut(hash).into_iter().for_each(|held| held.complete = false);
        }
    }

    /// Notes a blob.
    pub fn enter(&mut self, hash: String, facts: BlobFacts, visibility: Visibility, pinned: bool, complete: bool, taking: Taking) {
        self.uses += 1;
        self.blobs.insert(hash, Held { facts, visibility, pinned, complete, used: self.uses, taking });
    }

    /// Notes that a blob was used; whether it is here.
    pub fn touch(&mut self, hash: &str) -> bool {
        self.uses += 1;
        let uses = self.uses;
        self.blobs.get_mut(hash).map(|held| held.used = uses).is_some()
    }

    /// What all nodes are told: complete blobs that they may have. Of more than may be told, the first by hash.
    pub fn told(&self) -> BTreeMap<String, BlobFacts> {
        let shared = self.blobs.iter().filter(|(_, held)| held.complete && held.visibility > Visibility::Private);
        // Of what is in it this node says only what it has seen itself, and passes on no word of others.
        let app = |held: &Held| held.facts.app.clone().filter(|_| held.taking == Taking::Taken);
        let said = |held: &Held| BlobFacts { public: held.visibility == Visibility::Public, app: app(held), ..held.facts.clone() };
        shared.take(MAX_TOLD).map(|(hash, held)| (hash.clone(), said(held))).collect()
    }

    /// Whether one more can be told.
    pub fn may_tell_more(&self) -> bool {
        self.blobs.values().filter(|held| held.visibility > Visibility::Private).count() < MAX_TOLD
    }
}

impl Held {
    /// Whether it stays when room is needed: what is being fetched was asked for just now.
    fn stays(&self) -> bool {
        self.pinned || !self.complete || matches!(self.taking, Taking::Wanted { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept(blobs: &[(u64, bool, bool)]) -> Kept {
        let mut kept = Kept::default();
        for (number, (size_bytes, pinned, complete)) in blobs.iter().enumerate() {
            let facts = BlobFacts { name: format!("{number}"), size_bytes: *size_bytes, ..BlobFacts::default() };
            kept.enter(format!("{number:064x}"), facts, Visibility::Community, *pinned, *complete, Taking::No);
        }
        kept
    }

    #[test]
    fn what_was_used_least_lately_goes_first_and_what_is_pinned_or_coming_stays() {
        let mut kept = kept(&[(10, true, true), (10, false, true), (10, false, false), (10, false, true)]);
        let names = |gone: Vec<String>| gone.iter().map(|hash| kept_name(hash)).collect::<Vec<_>>();
        assert_eq!(kept.make_room(0, 40).unwrap(), Vec::<String>::new());
        assert_eq!(names(kept.make_room(5, 40).unwrap()), [1]);
        assert_eq!(names(kept.make_room(20, 40).unwrap()), [1, 3]);
        assert_eq!(kept.make_room(21, 40).unwrap_err(), NoRoom { needed: 21, left: 20, quota: 40 });
        assert!(kept.touch(&format!("{:064x}", 1)) && !kept.touch("x"));
        assert_eq!(names(kept.make_room(5, 40).unwrap()), [3]);
        // A quota that was made smaller is kept to by what comes next.
        assert_eq!(names(kept.make_room(1, 25).unwrap()), [3, 1]);
    }

    fn kept_name(hash: &str) -> u64 {
        u64::from_str_radix(hash, 16).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_an_app_too_and_what_the_catalog_waits_for_stays() {
        let mut kept = kept(&[(1, false, true), (1, false, true), (1, false, true)]);
        let name = format!("{:064x}", 1);
        let app = crate::net::an_app("broker");
        for (held, taking) in
            kept.blobs.values_mut().zip([Taking::No, Taking::Wanted { replace: true }, Taking::Refused { why: "x".to_owned() }])
        {
            (held.facts.app, held.taking) = (Some(app.clone()), taking);
        }
        let read: Kept = serde_json::from_slice(&serde_json::to_vec(&kept).unwrap()).unwrap();
        assert_eq!(read, kept);
        let old: Taking = serde_json::from_str(r#"{"state":"wanted"}"#).unwrap();
        assert_eq!(old, Taking::Wanted { replace: false }, "nobody said so before it could be said");
        assert!(!kept.make_room(2, 3).unwrap().contains(&name) && kept.make_room(3, 3).is_err());
    }

    #[test]
    fn of_private_and_of_half_blobs_nobody_is_told() {
        let mut kept = kept(&[(1, true, true), (1, true, false), (1, true, true)]);
        kept.blobs.get_mut(&format!("{:064x}", 0)).unwrap().visibility = Visibility::Private;
        kept.blobs.get_mut(&format!("{:064x}", 2)).unwrap().visibility = Visibility::Public;
        let told = kept.told();
        assert_eq!(told.keys().map(|hash| kept_name(hash)).collect::<Vec<_>>(), [2]);
        assert!(told.values().all(|facts| facts.public));
    }

    #[test]
    fn what_others_say_of_an_app_is_not_passed_on_until_it_was_seen() {
        let mut kept = kept(&[(1, true, true)]);
        for (taking, says) in [
            (Taking::No, false),
            (Taking::Wanted { replace: false }, false),
            (Taking::Refused { why: String::new() }, false),
            (Taking::Taken, true),
        ] {
            kept.blobs.values_mut().for_each(|held| (held.facts.app, held.taking) = (Some(crate::net::an_app("broker")), taking.clone()));
            assert_eq!(kept.told().values().next().unwrap().app.is_some(), says, "{taking:?}");
        }
    }

    proptest! {
        #[test]
        fn there_is_room_afterwards_and_nothing_pinned_went(
            blobs in prop::collection::vec((0..100_u64, any::<bool>(), any::<bool>()), 0..20), needed in 0..300_u64, quota in 0..600_u64
        ) {
            let mut kept = kept(&blobs);
            match kept.make_room(needed, quota) {
                Ok(gone) => {
                    for hash in gone {
                        let held = kept.blobs.remove(&hash).unwrap();
                        prop_assert!(!held.pinned && held.complete);
                    }
                    prop_assert!(kept.sum() + needed <= quota || needed == 0);
                }
                Err(_) => prop_assert!(kept.pinned() + needed > quota),
            }
        }
    }
}
