//! What is decided about catalogs: which publications of those that nodes tell of are fetched, and whether an app may take the place of
//! another. Nothing is done here.

use super::record::{Followed, Source, Wanted};
use crate::net::ToldCatalog;
use cluster::catalog::{Mark, News, news};
use contract::oci::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// Publications of one catalog that are tried in one look.
const TRIED_AT_ONCE: usize = 4;

/// A publication that nodes tell of, and that is worth fetching if it is what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What is said of it.
    pub mark: Mark,
    /// The nodes that say so.
    pub tellers: BTreeSet<String>,
}

/// What is worth fetching of a catalog, the best first. `whole` says whether what was taken last is still here; what `counts` leaves out of
/// what a node says counts for nothing. Once two of one number are known no more of them are looked at, and nothing newer before an owner
/// decides.
pub fn candidates(
    told: &[ToldCatalog],
    key: &str,
    (followed, whole): (&Followed, bool),
    counts: impl Fn(&str, &Mark) -> bool,
) -> Vec<Candidate> {
    let mut found: BTreeMap<&str, Candidate> = BTreeMap::new();
    for told in told.iter().filter(|told| told.key == key && !told.holder.me && counts(&told.holder.node, &told.news.mark)) {
        let mark = &told.news.mark;
        let worth = match news(followed.mark.as_ref(), mark) {
            News::Newer => mark.revoked || !followed.is_refused(),
            News::Same => !whole,
            News::Fork => followed.fork.is_none(),
            News::Older | News::Revoked => false,
        };
        if worth {
            let candidate = found.entry(&mark.hash).or_insert_with(|| Candidate { mark: mark.clone(), tellers: BTreeSet::new() });
            candidate.tellers.insert(told.holder.node.clone());
        }
    }
    let mut found: Vec<Candidate> = found.into_values().collect();
    found.sort_by_key(|candidate| std::cmp::Reverse((candidate.mark.revoked, candidate.mark.number)));
    found.truncate(TRIED_AT_ONCE);
    found
}

/// What there is under an app's name on this node.
#[derive(Debug, Default)]
pub struct There<'a> {
    /// The version that the store has.
    pub store: Option<&'a Digest>,
    /// The version that is installed.
    pub installed: Option<&'a Digest>,
    /// Where they come from, as far as that is known.
    pub source: Option<&'a Source>,
    /// What is on its way under that name.
    pub wanted: Option<&'a Wanted>,
    /// Whether a person saved an own app under that name.
    pub own: bool,
}

/// What is done to have an app of a catalog in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Nothing: it is there in that version.
    Here,
    /// It is fetched.
    Fetch,
}

/// Which catalog's app one would take the place of that comes another way; such a one takes it only where an owner said so.
pub fn takes_from<'a>(there: &There<'a>, version: &Digest) -> Option<&'a str> {
    // What is asked for of a catalog has its place already.
    match there.wanted {
        Some(wanted) if wanted.index == *version => return None,
        Some(wanted) => return Some(wanted.key.as_str()),
        None => {}
    }
    let source = there.source?;
    let others = [there.store, there.installed].into_iter().flatten().filter(|have| *have != version);
    others.into_iter().any(|have| source.has(have)).then_some(source.key.as_str())
}

/// What is in an app's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InTheWay {
    /// An app of that name that is of another catalog, or of none.
    Other {
        /// The other catalog's key; none where it came another way.
        key: Option<String>,
    },
    /// Another one of that name is on its way.
    Coming {
        /// From which catalog.
        key: String,
    },
    /// A person's own app has that name.
    Own,
}

/// How a version of an app of the catalog `key` comes into the store. What is there from elsewhere gives way only where an owner said so.
///
/// # Errors
/// What is in the way.
pub fn way(there: &There<'_>, key: &str, version: &Digest, owner_said_so: bool) -> Result<Way, InTheWay> {
    if there.own {
        return Err(InTheWay::Own);
    }
    if let Some(wanted) = there.wanted.filter(|wanted| wanted.key != key) {
        return Err(InTheWay::Coming { key: wanted.key.clone() });
    }
    let of_it = |have: &Digest| have == version || there.source.is_some_and(|source| source.key == key && source.has(have));
    if !owner_said_so && ![there.store, there.installed].into_iter().flatten().all(of_it) {
        let known = there.source.filter(|source| there.store.or(there.installed).is_some_and(|have| source.has(have)));
        return Err(InTheWay::Other { key: known.map(|source| source.key.clone()) });
    }
    Ok(if there.store == Some(version) { Way::Here } else { Way::Fetch })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Holder, some_news};
    use proptest::prelude::*;

    fn told(key: &str, number: u64, hash: &str, node: &str) -> ToldCatalog {
        let holder = Holder { node: node.to_owned(), node_name: String::new(), me: node == "me", state: None };
        ToldCatalog { key: key.to_owned(), news: some_news(number, hash), holder }
    }

    fn mark(number: u64, hash: &str) -> Mark {
        some_news(number, hash).mark
    }

    #[test]
    fn the_highest_number_is_tried_first_and_what_is_not_newer_never() {
        let all = [
            told("a", 3, "03", "garden"),
            told("a", 5, "05", "roof"),
            told("a", 5, "05", "shed"),
            told("a", 9, "09", "liar"),
            told("a", 7, "07", "me"),
            told("b", 8, "08", "roof"),
        ];
        let followed =
            |had: Option<&Mark>, fork: Option<&str>| Followed { mark: had.cloned(), fork: fork.map(str::to_owned), ..Followed::default() };
        let tried = |had: Option<&Mark>, whole: bool, fork: Option<&str>| {
            let found = candidates(&all, "a", (&followed(had, fork), whole), |node, _| node != "liar");
            found.into_iter().map(|found| (found.mark.number, found.tellers.len())).collect::<Vec<_>>()
        };
        assert_eq!(tried(None, false, None), [(5, 2), (3, 1)]);
        assert_eq!(tried(Some(&mark(3, "03")), true, None), [(5, 2)]);
        assert_eq!(tried(Some(&mark(3, "03")), false, None), [(5, 2), (3, 1)], "the same again where its file is lost");
        assert_eq!(tried(Some(&mark(5, "05")), true, None), []);
        assert_eq!(tried(Some(&mark(5, "55")), true, None), [(5, 2)], "two of one number are a fork");
        assert_eq!(tried(Some(&mark(5, "55")), true, Some("05")), [], "which is looked at once");
        assert_eq!(tried(Some(&mark(5, "55")), true, Some("56")), [], "and so is a third of that number");
        let three = followed(Some(&mark(3, "03")), Some("33"));
        assert_eq!(candidates(&all, "a", (&three, true), |node, _| node != "liar"), [], "nothing newer before an owner decides");
        let decided = Followed { decided: true, ..three };
        assert_eq!(candidates(&all, "a", (&decided, true), |node, _| node != "liar").len(), 1);
        assert_eq!(tried(Some(&mark(6, "06")), true, None), []);
        let mut end = told("a", 1, "0e", "garden");
        end.news.mark.revoked = true;
        let found = candidates(&[all[1].clone(), end.clone()], "a", (&followed(Some(&mark(4, "04")), None), true), |_, _| true);
        assert!(found[0].mark.revoked && found.len() == 2, "that a key is given up comes first");
        let found = candidates(&[all[1].clone(), end], "a", (&followed(Some(&mark(4, "04")), Some("44")), true), |_, _| true);
        assert!(matches!(&found[..], [only] if only.mark.revoked), "and is taken of what is refused too");
    }

    #[test]
    fn no_app_takes_the_place_of_another_publisher_s_but_by_an_owner() {
        let [one, two, other] = [1_u8, 2, 3].map(|number| Digest::of(&[number]));
        let of = |key: &str| Source { key: key.to_owned(), versions: vec![one.clone()] };
        let (a, b) = (of("a"), of("b"));
        let there = |store, source| There { store, source, ..There::default() };
        let found = |there: &There<'_>| way(there, "a", &two, false);
        let other_way = |key: Option<&str>| Err(InTheWay::Other { key: key.map(str::to_owned) });
        assert_eq!(found(&There::default()), Ok(Way::Fetch));
        assert_eq!(found(&there(Some(&two), None)), Ok(Way::Here));
        assert_eq!(found(&there(Some(&one), Some(&a))), Ok(Way::Fetch), "the next version of the same catalog");
        assert_eq!(found(&there(Some(&one), Some(&b))), other_way(Some("b")));
        assert_eq!(found(&there(Some(&one), None)), other_way(None), "added by hand");
        assert_eq!(found(&there(Some(&other), Some(&a))), other_way(None), "replaced by hand since");
        assert_eq!(way(&there(Some(&one), Some(&b)), "a", &two, true), Ok(Way::Fetch));
        // What is installed counts too, although the store has it no more.
        let installed = |source| There { installed: Some(&one), source, ..There::default() };
        assert_eq!((found(&installed(Some(&a))), found(&installed(Some(&b)))), (Ok(Way::Fetch), other_way(Some("b"))));
        let wanted = |key: &str| Wanted { key: key.to_owned(), index: one.clone(), hash: String::new(), install: false };
        let (by_a, by_b) = (wanted("a"), wanted("b"));
        assert_eq!(found(&There { wanted: Some(&by_a), ..There::default() }), Ok(Way::Fetch));
        for said_so in [false, true] {
            let there = There { wanted: Some(&by_b), ..There::default() };
            assert_eq!(way(&there, "a", &two, said_so), Err(InTheWay::Coming { key: "b".to_owned() }));
            assert_eq!(way(&There { own: true, ..There::default() }, "a", &two, said_so), Err(InTheWay::Own));
        }
    }

    #[test]
    fn what_comes_another_way_takes_no_place_of_a_catalog_s_app_unasked() {
        let [one, two, by_hand] = [1_u8, 2, 3].map(|number| Digest::of(&[number]));
        let source = Source { key: "a".to_owned(), versions: vec![one.clone()] };
        let there = |store, installed| There { store, installed, source: Some(&source), ..There::default() };
        // (what the store has, what is installed, the version that comes, whose place it takes)
        let cases = [
            (Some(&one), None, &two, Some("a")),
            (None, Some(&one), &two, Some("a")),
            (Some(&by_hand), Some(&one), &two, Some("a")),
            (Some(&one), None, &one, None),
            (Some(&by_hand), None, &two, None),
            (None, None, &two, None),
        ];
        for (store, installed, version, expected) in cases {
            assert_eq!(takes_from(&there(store, installed), version), expected);
        }
        assert_eq!(takes_from(&There { store: Some(&one), ..There::default() }, &two), None);
        // What is on its way from a catalog has its place already.
        let wanted = Wanted { key: "b".to_owned(), index: one.clone(), hash: String::new(), install: false };
        let coming = |version| takes_from(&There { wanted: Some(&wanted), ..there(Some(&two), None) }, version).map(str::to_owned);
        assert_eq!((coming(&by_hand), coming(&one)), (Some("b".to_owned()), None));
        let source = Source { key: "b".to_owned(), versions: vec![two.clone()] };
        let update = There { store: Some(&two), installed: Some(&two), source: Some(&source), wanted: Some(&wanted), own: false };
        assert_eq!(takes_from(&update, &one), None, "no catalog's app is in its own way");
    }

    proptest! {
        /// Whatever nodes tell, what is fetched is newer than what was taken, or the same number and something else.
        #[test]
        fn nothing_older_is_ever_fetched(all in prop::collection::vec((0..4_u64, 0..3_u8, 0..3_u8), 0..20), had in 0..4_u64) {
            let all: Vec<_> = all.into_iter().map(|(n, hash, node)| told("a", n, &format!("0{hash}"), &node.to_string())).collect();
            let followed = Followed { mark: Some(mark(had, "aa")), ..Followed::default() };
            for found in candidates(&all, "a", (&followed, true), |_, _| true) {
                prop_assert!(found.mark.number >= had && !found.tellers.is_empty());
            }
        }
    }
}
