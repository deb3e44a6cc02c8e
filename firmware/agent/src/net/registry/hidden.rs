//! What admins hide from all who search, as records: each lies among the records of the node that hides.
//!
//! It hides while that node is a member and an admin, which is asked at each search: a dismissal or a removal undoes it. What others wrote
//! is held to the same limits as what is written here.

use super::{Copy, Refused, Registry, check_key, is_plain};
use crate::net::ClusterView;
use crate::net::ids::{label, of_label};
use cluster::{
    NodeId,
    records::{Change, Kind, Order, Record, Slot, WriteError},
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

/// The layout that this version writes.
const SCHEMA: u16 = 1;
/// Longest reason in bytes.
const MAX_REASON_BYTES: usize = 400;

/// A service of a node, or all that a node publishes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceRef {
    /// The node.
    pub node: NodeId,
    /// The key by which it publishes the service; none for all of them.
    pub key: Option<String>,
}

impl ServiceRef {
    /// The one that is meant by a node's id in hexadecimal and a key.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(node: &str, key: Option<&str>) -> Result<Self, String> {
        let node = NodeId::of_hex(node).ok_or("a node's id has 64 digits of 0-9 and a-f: `cloudy nodes --json` lists them")?;
        key.map_or(Ok(()), check_key)?;
        Ok(Self { node, key: key.map(str::to_owned) })
    }

    /// As it is kept: the node's id in base 32, and the key after a point.
    pub fn text(&self) -> String {
        let node = label(&self.node);
        self.key.as_ref().map_or_else(|| node.clone(), |key| format!("{node}.{key}"))
    }

    /// Reads that; none where it is not as [`ServiceRef::text`] writes it.
    pub fn of_text(text: &str) -> Option<Self> {
        let (node, key) = text.split_once('.').map_or((text, None), |(node, key)| (node, Some(key)));
        let read = Self { node: of_label(node)?, key: key.map(str::to_owned) };
        (key.is_none_or(|key| check_key(key).is_ok()) && read.text() == text).then_some(read)
    }

    /// Where it stands among the records of a node that hides it.
    fn slot(&self) -> Slot {
        Slot { kind: Kind::HIDDEN, key: self.text() }
    }
}

/// A record's value. Fields of later versions are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Value {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Whether a reason is one.
///
/// # Errors
/// What is wrong with it, with the mend.
pub fn check_reason(reason: &str) -> Result<(), String> {
    if reason.len() > MAX_REASON_BYTES {
        return Err(format!("the reason has {} bytes, where {MAX_REASON_BYTES} are allowed", reason.len()));
    }
    if reason.chars().all(is_plain) { Ok(()) } else { Err("the reason has control characters: leave them out".to_owned()) }
}

/// What a record hides, and why; none if this version can't read it, or it breaks a limit.
fn said(record: &Record) -> Option<(ServiceRef, Option<String>)> {
    let known = record.slot.kind == Kind::HIDDEN && record.schema == SCHEMA;
    let what = known.then(|| ServiceRef::of_text(&record.slot.key)).flatten()?;
    let Value { reason } = serde_json::from_slice(&record.value).ok()?;
    reason.iter().all(|reason| check_reason(reason).is_ok()).then_some((what, reason))
}

/// Through whose eyes is searched.
#[derive(Debug, Clone, Default)]
pub struct Lens {
    /// Who is an admin at present.
    pub admins: BTreeSet<NodeId>,
    /// What the one who asks has muted.
    pub muted: BTreeSet<ServiceRef>,
}

impl Lens {
    /// Whether the one who asks has muted a service.
    pub fn mutes(&self, node: &NodeId, key: &str) -> bool {
        let is = |key: Option<&str>| self.muted.contains(&ServiceRef { node: *node, key: key.map(str::to_owned) });
        !self.muted.is_empty() && (is(None) || is(Some(key)))
    }
}

/// Who is an admin at present, as the members are seen.
pub fn admins(view: &ClusterView) -> BTreeSet<NodeId> {
    let admins = view.members.iter().filter(|member| member.admin && !member.suspended);
    admins.filter_map(|member| NodeId::of_hex(&member.id)).collect()
}

/// That a service is hidden from all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HiddenMark {
    /// The id of the admin's node that hides it, which alone shows it again.
    pub by: String,
    /// That node's name; empty where it is not known.
    pub by_name: String,
    /// Whether that is this node.
    pub me: bool,
    /// Whether it hides all services of the node.
    pub all: bool,
    /// Why, if it says.
    pub reason: Option<String>,
}

/// What one admin hides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hide {
    /// What.
    pub what: ServiceRef,
    /// The admin's node.
    pub by: NodeId,
    /// Why, if it says.
    pub reason: Option<String>,
}

/// Who hides something, and why.
type ByWhom = BTreeMap<NodeId, Option<String>>;

/// All that is hidden: node, key (none for all of the node's), who hides it, why.
#[derive(Debug, Default)]
pub struct Hides {
    admins: BTreeSet<NodeId>,
    said: BTreeMap<NodeId, BTreeMap<Option<String>, ByWhom>>,
}

impl Hides {
    fn new(admins: &BTreeSet<NodeId>) -> Self {
        Self { admins: admins.clone(), said: BTreeMap::new() }
    }

    /// Takes in what a record of a member says; what is of no admin counts for nothing.
    fn take(&mut self, by: NodeId, record: &Record) {
        if !self.admins.contains(&by) {
            return;
        }
        if let Some((what, reason)) = said(record) {
            self.said.entry(what.node).or_default().entry(what.key).or_default().insert(by, reason);
        }
    }

    /// What is hidden now. Of each admin, that is at most what one node's records can hold.
    pub fn read(copy: &Copy, admins: &BTreeSet<NodeId>) -> Result<Self, StoreError> {
        let mut hides = Self::new(admins);
        for by in copy.view().members().intersection(admins) {
            let _all = copy.each_of(by, Kind::HIDDEN, "", &mut |found| {
                hides.take(*by, &found.record);
                ControlFlow::Continue(())
            })?;
        }
        Ok(hides)
    }

    /// Who hides a service, or all of a node where no key is named. Of several, this node comes first: that can be undone here.
    pub fn mark(&self, node: &NodeId, key: Option<&str>, me: &NodeId) -> Option<HiddenMark> {
        let of_node = self.said.get(node)?;
        let whole = of_node.get(&None).into_iter().flatten().map(|said| (true, said));
        let one = key.and_then(|key| of_node.get(&Some(key.to_owned()))).into_iter().flatten().map(|said| (false, said));
        let (all, (by, reason)) = whole.chain(one).min_by_key(|(all, (by, _))| (*by != me, *all, *by))?;
        Some(HiddenMark { by: by.hex(), by_name: String::new(), me: by == me, all, reason: reason.clone() })
    }

    fn list(self) -> Vec<Hide> {
        let of_key = |node, (key, said): (Option<String>, ByWhom)| {
            said.into_iter().map(move |(by, reason)| Hide { what: ServiceRef { node, key: key.clone() }, by, reason })
        };
        self.said.into_iter().flat_map(|(node, keys)| keys.into_iter().flat_map(move |keys| of_key(node, keys))).collect()
    }
}

/// What came of showing something again.
#[derive(Debug)]
pub struct Unhidden {
    /// Whether this node had hidden it.
    pub was_here: bool,
    /// What hides it still.
    pub still: Option<HiddenMark>,
}

impl Registry {
    /// Hides something from all who search, as this node. On disk when this answers.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn hide(&self, what: &ServiceRef, reason: Option<String>) -> Result<Order, Refused> {
        // A plain string can't fail.
        let value = serde_json::to_vec(&Value { reason }).unwrap_or_default();
        self.write(vec![Change::Put { slot: what.slot(), schema: SCHEMA, value }]).await
    }

    /// Hides something no more, as this node. On disk when this answers.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn unhide(&self, what: ServiceRef, admins: BTreeSet<NodeId>) -> Result<Unhidden, Refused> {
        self.with(move |copy, now| {
            let was_here = copy.get(&copy.me(), &what.slot())?.is_some();
            if was_here {
                copy.write(now, &[Change::Remove(what.slot())])?;
            }
            let still = Hides::read(copy, &admins)?.mark(&what.node, what.key.as_deref(), &copy.me());
            Ok::<_, WriteError>(Unhidden { was_here, still })
        })
        .await?
        .map_err(Refused::Write)
    }

    /// All that admins hide.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn hidden(&self, admins: BTreeSet<NodeId>) -> Result<Vec<Hide>, Refused> {
        let read = self.with(move |copy, _| Hides::read(copy, &admins).map(Hides::list));
        read.await?.map_err(|error| Refused::Closed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::MemberView;
    use cluster::keys::Key;
    use proptest::prelude::*;

    const ADMIN: NodeId = Key([1; 32]);
    const OTHER: NodeId = Key([2; 32]);
    const ROOF: NodeId = Key([0xfe; 32]);

    fn of(key: Option<&str>) -> ServiceRef {
        ServiceRef { node: ROOF, key: key.map(str::to_owned) }
    }

    fn record(key: &str, value: &[u8]) -> Record {
        let slot = Slot { kind: Kind::HIDDEN, key: key.to_owned() };
        Record { written: Order::default(), schema: SCHEMA, slot, value: value.to_vec() }
    }

    fn hides(records: &[(NodeId, Record)]) -> Hides {
        let mut hides = Hides::new(&[ADMIN, ROOF].into());
        records.iter().for_each(|(by, record)| hides.take(*by, record));
        hides
    }

    #[test]
    fn what_is_named_is_read_back_and_nothing_else_is() {
        for what in [of(None), of(Some("wiki")), of(Some(&"a.b".repeat(21)))] {
            assert_eq!(ServiceRef::of_text(&what.text()), Some(what.clone()));
            assert_eq!(ServiceRef::new(&ROOF.hex(), what.key.as_deref()), Ok(what.clone()));
            assert!(what.slot().is_valid(), "{what:?}");
        }
        let node = label(&ROOF);
        let wrong = [String::new(), node.to_ascii_uppercase(), format!("{node}."), format!("{node}.A b"), node[1..].to_owned(), ROOF.hex()];
        for text in wrong.into_iter().chain([format!("{node}..x"), format!(".{node}"), format!("{node}.wiki\u{7f}")]) {
            assert_eq!(ServiceRef::of_text(&text), None, "{text}");
        }
        assert!(ServiceRef::new("roof", None).is_err() && ServiceRef::new(&ROOF.hex(), Some("A b")).is_err());
        assert!(ServiceRef::new(&ROOF.hex().to_ascii_uppercase(), None).is_err());
    }

    #[test]
    fn an_admin_hides_a_service_or_all_of_a_node_and_nobody_else_hides_anything() {
        let wiki = record(&of(Some("wiki")).text(), br#"{"reason":"spam","since":7}"#);
        let all = record(&of(None).text(), b"{}");
        let one = hides(&[(ADMIN, wiki.clone())]);
        let mark = one.mark(&ROOF, Some("wiki"), &OTHER).unwrap();
        assert_eq!((mark.by, mark.reason.as_deref(), mark.me, mark.all), (ADMIN.hex(), Some("spam"), false, false));
        assert!(one.mark(&ROOF, Some("photos"), &OTHER).is_none() && one.mark(&ROOF, None, &OTHER).is_none());
        assert!(one.mark(&ADMIN, Some("wiki"), &OTHER).is_none(), "another node's of that key is another");
        let node = hides(&[(ADMIN, all.clone())]);
        assert!(node.mark(&ROOF, Some("photos"), &ADMIN).is_some_and(|mark| mark.me && mark.all && mark.reason.is_none()));
        let nobody = hides(&[(OTHER, wiki.clone()), (OTHER, all.clone())]);
        assert!(nobody.mark(&ROOF, Some("wiki"), &OTHER).is_none() && nobody.list().is_empty());
        // Of several, what this node can undo comes first, and what names the service before what names the node.
        let both = [(ADMIN, all), (ROOF, wiki)];
        assert!(hides(&both).mark(&ROOF, Some("wiki"), &ADMIN).unwrap().me);
        assert_eq!(hides(&both).mark(&ROOF, Some("wiki"), &OTHER).unwrap().by, ROOF.hex());
        assert_eq!(hides(&both).list().len(), 2);
    }

    #[test]
    fn what_breaks_a_limit_hides_nothing_and_is_refused_here() {
        let key = of(Some("wiki")).text();
        let reason = |reason: &str| serde_json::to_vec(&Value { reason: Some(reason.to_owned()) }).unwrap();
        for wrong in ["\u{1b}[31mred", "two\nlines", "\u{202e}txt.exe", &"x".repeat(MAX_REASON_BYTES + 1)] {
            assert!(check_reason(wrong).is_err(), "{wrong:?}");
            assert!(hides(&[(ADMIN, record(&key, &reason(wrong)))]).list().is_empty(), "{wrong:?}");
        }
        assert!(check_reason("").is_ok() && check_reason(&"x".repeat(MAX_REASON_BYTES)).is_ok());
        let odd = [Record { schema: 2, ..record(&key, b"{}") }, record(&key, b"7"), record(&key, b""), record("wiki", b"{}")];
        let service = Record { slot: Slot { kind: Kind::SERVICE, key: key.clone() }, ..record(&key, b"{}") };
        for record in odd.into_iter().chain([service]) {
            assert!(hides(&[(ADMIN, record.clone())]).list().is_empty(), "{record:?}");
        }
    }

    #[test]
    fn admins_are_the_members_that_are_admins_now() {
        let member = |key: NodeId, admin, suspended| MemberView { id: key.hex(), admin, suspended, ..MemberView::default() };
        let members = vec![member(ADMIN, true, false), member(OTHER, false, false), member(ROOF, true, true)];
        assert_eq!(admins(&ClusterView { members, ..ClusterView::default() }), [ADMIN].into());
    }

    #[test]
    fn what_is_muted_is_a_service_or_all_of_a_node() {
        let lens = |muted: &[ServiceRef]| Lens { muted: muted.iter().cloned().collect(), ..Lens::default() };
        assert!(!lens(&[]).mutes(&ROOF, "wiki") && lens(&[of(None)]).mutes(&ROOF, "wiki"));
        let one = lens(&[of(Some("wiki"))]);
        assert!(one.mutes(&ROOF, "wiki") && !one.mutes(&ROOF, "photos") && !one.mutes(&ADMIN, "wiki"));
    }

    proptest! {
        #[test]
        fn hostile_records_hide_nothing_that_they_may_not_and_show_nothing_that_harms(
            by in prop::sample::select(vec![ADMIN, OTHER]),
            key in prop_oneof![Just(of(None).text()), "[a-z2-7]{52}(\\.[a-zA-Z.-]{0,70})?", "\\PC{0,140}|.*"],
            reason in prop_oneof!["[ -~]{0,220}", "\\PC*|.*"],
            schema in 0_u16..3,
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let written = serde_json::to_vec(&serde_json::json!({ "reason": reason })).unwrap();
            for value in [written, bytes] {
                let hides = hides(&[(by, Record { schema, ..record(&key, &value) })]);
                for hide in hides.list() {
                    prop_assert!(by == ADMIN && hide.by == ADMIN && schema == SCHEMA && hide.what.text() == key);
                    prop_assert!(hide.reason.is_none_or(|reason| reason.len() <= MAX_REASON_BYTES && reason.chars().all(is_plain)));
                    prop_assert!(hide.what.key.is_none_or(|key| check_key(&key).is_ok()));
                }
            }
        }
    }
}
