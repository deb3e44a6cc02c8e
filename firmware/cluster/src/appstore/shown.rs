//! What of the app store is shown: the shares of all nodes, each as of a moment when all that it had seen is shown too.
//!
//! A node's records change with its head, in any order among nodes. What was shown of a node stays shown, from a table
//! of its own, until its newer share can be.

use super::{
    App, MAX_LIST_BYTES, Manifest, Value,
    entry::{Clock, Entry, SCHEMA},
    manifest, merge,
    merge::Shares,
    names,
};
use crate::{
    clock::Millis,
    keys::{CommunityId, Key, NodeId},
    records::{Kind, Order, Record, Replica, Slot},
    store::{Batch, Store, StoreError, Sync, Table},
    wire,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::ControlFlow,
    time::Duration,
};

/// How often own shares are tidied up.
const TIDY_PERIOD: Duration = Duration::from_secs(60);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Keys of an app may have another value, all at once.
    Changed {
        /// The app.
        app: App,
        /// The keys.
        keys: Vec<String>,
    },
}

/// A page of an app's keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Keys with their values, in order.
    pub keys: Vec<(String, Value)>,
    /// Whether there may be more after the last of them.
    pub more: bool,
}

/// The app store of one node.
#[derive(Debug)]
pub struct AppStore {
    pub(super) me: NodeId,
    pub(super) community: CommunityId,
    losses: u64,
    /// Whose shares are shown, and as of which clock.
    pub(super) shown: BTreeMap<App, BTreeMap<NodeId, Order>>,
    /// Shares that have changed and are not shown yet: up to which head of their node the shown one holds.
    waiting: BTreeMap<(App, NodeId), Order>,
    heads: BTreeMap<NodeId, Order>,
    manifests: BTreeMap<App, Manifest>,
    pub(super) next_tidy: Millis,
    outputs: VecDeque<Output>,
    problem: Option<StoreError>,
}

/// A node's share of an app as its records say it.
struct Share {
    written: Order,
    entries: BTreeMap<String, Vec<u8>>,
}

impl AppStore {
    /// Opens what is shown, and takes what has changed since.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn open<S: Store>(now: Millis, replica: &mut Replica<S>, community: CommunityId) -> Result<Self, StoreError> {
        let mut store = Self {
            me: replica.me(),
            community,
            losses: replica.store().losses(),
            shown: shown(replica.store())?,
            waiting: BTreeMap::new(),
            heads: BTreeMap::new(),
            manifests: BTreeMap::new(),
            next_tidy: now.plus(TIDY_PERIOD),
            outputs: VecDeque::new(),
            problem: None,
        };
        store.refresh(replica)?;
        Ok(store)
    }

    /// Looks at everything anew: at start, and when members came or went.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn refresh<S: Store>(&mut self, replica: &mut Replica<S>) -> Result<(), StoreError> {
        let mut said: BTreeSet<(App, NodeId)> = BTreeSet::new();
        let mut owned: BTreeSet<App> = BTreeSet::new();
        for node in replica.view().members() {
            each(replica, node, Kind::APP, "", &mut |slot, _| {
                said.extend(names::of_slot(slot).map(|(app, _)| (app, *node)));
            })?;
            each(replica, node, Kind::MANIFEST, "", &mut |slot, _| owned.extend(App::try_from(slot.key.as_str())))?;
        }
        for app in owned.into_iter().chain(self.manifests.keys().cloned().collect::<Vec<_>>()) {
            self.read_manifest(replica, app)?;
        }
        let known = self.shown.iter().flat_map(|(app, nodes)| nodes.iter().map(|(node, at)| ((app.clone(), *node), *at)));
        for (place, at) in known.collect::<Vec<_>>() {
            said.remove(&place);
            self.waiting.entry(place).or_insert(at);
        }
        for place in said {
            self.waiting.entry(place).or_default();
        }
        self.show(replica);
        for head in replica.view().heads() {
            self.heads.insert(head.node(), head.order());
        }
        Ok(())
    }

    /// What was committed without sync may be gone after a failure of the disk, so what is shown is read again.
    fn after_losses<S: Store>(&mut self, replica: &mut Replica<S>) {
        let losses = replica.store().losses();
        if self.losses == losses {
            return;
        }
        let read = shown(replica.store()).and_then(|shown| {
            self.shown = shown;
            self.refresh(replica)
        });
        match read {
            Ok(()) => self.losses = losses,
            Err(error) => self.problem = Some(error),
        }
    }

    /// Records of a node have changed ([`crate::records::Output::Changed`]).
    pub fn changed<S: Store>(&mut self, replica: &mut Replica<S>, node: NodeId, slots: &[Slot]) {
        self.after_losses(replica);
        let before = self.heads.get(&node).copied().unwrap_or_default();
        for slot in slots {
            if let Some((app, _)) = names::of_slot(slot) {
                self.waiting.entry((app, node)).or_insert(before);
            } else if slot.kind == Kind::MANIFEST
                && let Ok(app) = App::try_from(slot.key.as_str())
                && let Err(error) = self.read_manifest(replica, app)
            {
                self.problem = Some(error);
            }
        }
        // Shares of others may have waited for this head alone.
        self.show(replica);
        self.heads.insert(node, head_of(replica, &node).unwrap_or(before));
    }

    fn read_manifest<S: Store>(&mut self, replica: &Replica<S>, app: App) -> Result<(), StoreError> {
        let mut newest: Option<Manifest> = None;
        for node in replica.view().members() {
            each(replica, node, Kind::MANIFEST, app.as_str(), &mut |slot, record| {
                if slot.key == app.as_str()
                    && let Ok(read) = Manifest::read(&record.value, self.community, &app)
                    && newest.as_ref().is_none_or(|newest| newest.rank() < read.rank())
                {
                    newest = Some(read);
                }
            })?;
        }
        let old = self.manifests.get(&app);
        if old != newest.as_ref() {
            let keys = self.keys(replica.store(), &app)?;
            match newest {
                Some(newest) => drop(self.manifests.insert(app.clone(), newest)),
                None => drop(self.manifests.remove(&app)),
            }
            self.outputs.push_back(Output::Changed { app, keys });
        }
        Ok(())
    }

    /// Shows what can be: of each app the most shares that stand together, since two nodes may each have seen what the
    /// other said.
    fn show<S: Store>(&mut self, replica: &mut Replica<S>) {
        let apps: BTreeSet<App> = self.waiting.keys().map(|(app, _)| app.clone()).collect();
        for app in apps {
            let shown = self.together(replica, &app).and_then(|nodes| self.take(replica, &app, &nodes));
            if let Err(error) = shown {
                self.problem = Some(error);
            }
        }
    }

    /// The nodes whose waiting shares of an app can be shown at once: the greatest set of which each has seen only what
    /// is shown, or is in the set too.
    fn together<S: Store>(&self, replica: &Replica<S>, app: &App) -> Result<BTreeSet<NodeId>, StoreError> {
        let mut clocks: BTreeMap<NodeId, Vec<(NodeId, Order)>> = BTreeMap::new();
        for (_, node) in self.waiting.keys().filter(|(of, _)| of == app) {
            clocks.insert(*node, clock(replica, app, node)?.map(|(_, clock)| clock.seen).unwrap_or_default());
        }
        let mut set: BTreeSet<NodeId> = clocks.keys().copied().collect();
        loop {
            let holds = |other: &NodeId, at: &Order| {
                let behind = self.waiting.get(&(app.clone(), *other)).filter(|_| !set.contains(other)).copied();
                !replica.view().members().contains(other) || behind.or_else(|| head_of(replica, other)).is_some_and(|held| held >= *at)
            };
            let stands =
                |node: &NodeId| clocks.get(node).is_none_or(|seen| seen.iter().all(|(other, at)| other == node || holds(other, at)));
            let left: BTreeSet<NodeId> = set.iter().filter(|node| stands(node)).copied().collect();
            if left.len() == set.len() {
                return Ok(set);
            }
            set = left;
        }
    }

    /// Shows the shares of nodes, all at once.
    fn take<S: Store>(&mut self, replica: &mut Replica<S>, app: &App, nodes: &BTreeSet<NodeId>) -> Result<(), StoreError> {
        if nodes.is_empty() {
            return Ok(());
        }
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut clocks = Vec::new();
        for node in nodes {
            let share = share(replica, app, node)?;
            clocks.push((*node, share.as_ref().map(|share| share.written)));
            if let Some(share) = share {
                rows.insert(names::row(app, "", node), wire::encode(&share.written));
                rows.extend(share.entries.into_iter().map(|(key, entry)| (names::row(app, &key, node), entry)));
            }
        }
        let mut batch = Batch::default();
        let mut keys = BTreeSet::new();
        let mut note = |row: &[u8]| keys.extend(names::of_row(app, row).map(|(key, _)| key.to_owned()).filter(|key| !key.is_empty()));
        replica.store().scan(Table::Apps, &names::row_prefix(app, None), &mut |row, value| {
            if names::of_row(app, row).is_some_and(|(_, of)| nodes.contains(&of)) {
                match rows.get(row) {
                    Some(new) if new == value => drop(rows.remove(row)),
                    Some(_) => {}
                    None => {
                        note(row);
                        batch.remove(Table::Apps, row);
                    }
                }
            }
            ControlFlow::Continue(())
        })?;
        for (row, entry) in rows {
            note(&row);
            batch.put(Table::Apps, row, entry);
        }
        replica.store_mut().commit(&batch, Sync::Later)?;
        self.problem = None;
        let shown = self.shown.entry(app.clone()).or_default();
        for (node, written) in clocks {
            self.waiting.remove(&(app.clone(), node));
            match written {
                Some(written) => {
                    shown.insert(node, written);
                }
                None => {
                    shown.remove(&node);
                }
            }
        }
        if shown.is_empty() {
            self.shown.remove(app);
        }
        if !keys.is_empty() {
            self.outputs.push_back(Output::Changed { app: app.clone(), keys: keys.into_iter().collect() });
        }
        Ok(())
    }

    /// Whether a member may write in an app.
    #[must_use]
    pub fn may_write<S: Store>(&self, replica: &Replica<S>, app: &App, node: &NodeId) -> bool {
        let owner = replica.view().head(node).map_or(*node, crate::records::Head::owner);
        manifest::may_write(app, self.manifests.get(app), node, &owner)
    }

    /// The newest manifest of an app.
    #[must_use]
    pub fn manifest(&self, app: &App) -> Option<&Manifest> {
        self.manifests.get(app)
    }

    /// The shares of a key of those who may write.
    pub(super) fn shares<S: Store>(&self, replica: &Replica<S>, app: &App, key: &str) -> Result<Shares, StoreError> {
        let mut shares = Shares::new();
        replica.store().scan(Table::Apps, &names::row_prefix(app, Some(key)), &mut |row, value| {
            if let Some((_, node)) = names::of_row(app, row)
                && self.may_write(replica, app, &node)
                && let Ok(entry) = Entry::from_bytes(value)
            {
                shares.insert(node, entry);
            }
            ControlFlow::Continue(())
        })?;
        Ok(shares)
    }

    /// What is under a key.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn read<S: Store>(&self, replica: &Replica<S>, app: &App, key: &str) -> Result<Value, StoreError> {
        Ok(merge::value(&self.shares(replica, app, key)?))
    }

    /// Keys of an app that have a share, whether or not there is a value.
    fn keys(&self, store: &impl Store, app: &App) -> Result<Vec<String>, StoreError> {
        let mut keys: Vec<String> = Vec::new();
        store.scan(Table::Apps, &names::row_prefix(app, None), &mut |row, _| {
            if let Some((key, _)) = names::of_row(app, row)
                && !key.is_empty()
                && keys.last().is_none_or(|last| last != key)
            {
                keys.push(key.to_owned());
            }
            ControlFlow::Continue(())
        })?;
        Ok(keys)
    }

    /// The keys of an app that have a value and come after `after`, in order, at most `limit`, and fewer where their
    /// values come to [`MAX_LIST_BYTES`].
    ///
    /// # Errors
    /// The store can't be read.
    pub fn list<S: Store>(&self, replica: &Replica<S>, app: &App, after: &str, limit: usize) -> Result<Listing, StoreError> {
        let (mut listing, mut bytes) = (Listing::default(), 0);
        for key in self.keys(replica.store(), app)?.into_iter().filter(|key| key.as_str() > after) {
            if listing.keys.len() >= limit || bytes >= MAX_LIST_BYTES {
                listing.more = true;
                break;
            }
            let value = self.read(replica, app, &key)?;
            if !value.is_empty() {
                bytes += key.len() + value.bytes();
                listing.keys.push((key, value));
            }
        }
        Ok(listing)
    }

    /// The apps that are known here.
    pub fn apps(&self) -> impl Iterator<Item = &App> {
        self.shown.keys()
    }

    /// Shares that wait for what they had seen; for tests and diagnosis.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What is wrong with the store, while it is.
    #[must_use]
    pub fn problem(&self) -> Option<&StoreError> {
        self.problem.as_ref()
    }

    /// When [`AppStore::tick`] has something to do next.
    #[must_use]
    pub fn next_wake(&self) -> Millis {
        self.next_tidy
    }

    /// Tidies up own shares.
    pub fn tick<S: Store>(&mut self, now: Millis, replica: &mut Replica<S>) {
        if self.next_tidy <= now {
            self.next_tidy = now.plus(TIDY_PERIOD);
            self.after_losses(replica);
            self.show(replica);
            self.tidy(now, replica);
        }
    }

    /// What happened, oldest first.
    pub fn outputs(&mut self) -> impl Iterator<Item = Output> + '_ {
        self.outputs.drain(..)
    }
}

/// Whose shares are shown, as the table says.
fn shown(store: &impl Store) -> Result<BTreeMap<App, BTreeMap<NodeId, Order>>, StoreError> {
    let mut shown: BTreeMap<App, BTreeMap<NodeId, Order>> = BTreeMap::new();
    store.scan(Table::Apps, &[], &mut |key, value| {
        let app = key.split(|byte| *byte == 0).next().and_then(|app| str::from_utf8(app).ok()).and_then(|app| App::try_from(app).ok());
        if let Some(app) = app
            && let Some(("", node)) = names::of_row(&app, key)
            && let Ok(at) = wire::decode(value, 64)
        {
            shown.entry(app).or_default().insert(node, at);
        }
        ControlFlow::Continue(())
    })?;
    Ok(shown)
}

/// The newest head of a node, the own one as it is being written.
fn head_of<S: Store>(replica: &Replica<S>, node: &NodeId) -> Option<Order> {
    if *node == replica.me() { Some(replica.own_order()) } else { replica.view().head(node).map(crate::records::Head::order) }
}

/// A node's clock of an app, and when it was written.
fn clock<S: Store>(replica: &Replica<S>, app: &App, node: &NodeId) -> Result<Option<(Order, Clock)>, StoreError> {
    let record = replica.get(node, &names::slot(app, ""))?.filter(|record| record.schema == SCHEMA);
    Ok(record.and_then(|record| Some((record.written, Clock::from_bytes(&record.value).ok()?))))
}

/// A node's records of a kind whose key starts with `prefix`.
pub(super) fn each<S: Store>(
    replica: &Replica<S>,
    node: &NodeId,
    kind: Kind,
    prefix: &str,
    visit: &mut dyn FnMut(&Slot, &Record),
) -> Result<(), StoreError> {
    let member = *node == replica.me() || (replica.view().members().contains(node) && replica.view().head(node).is_some());
    if !member {
        return Ok(());
    }
    let start = [node.0.as_slice(), &[kind.0], prefix.as_bytes()].concat();
    replica.store().scan(Table::Records, &start, &mut |_, value| {
        if let Ok(record) = Record::from_bytes(value) {
            visit(&record.slot, &record);
        }
        ControlFlow::Continue(())
    })
}

/// A node's share of an app; none without a clock. Entries that this version can't read, and such that replace what
/// their node had not seen, are left out.
fn share<S: Store>(replica: &Replica<S>, app: &App, node: &NodeId) -> Result<Option<Share>, StoreError> {
    let Some((written, clock)) = clock(replica, app, node)? else { return Ok(None) };
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    each(replica, node, Kind::APP, names::slot(app, "").key.as_str(), &mut |slot, record| {
        let key = names::of_slot(slot).map(|(_, key)| key).filter(|key| !key.is_empty() && record.schema == SCHEMA);
        if let Some(key) = key
            && let Ok(entry) = Entry::from_bytes(&record.value)
        {
            entries.insert(key.to_owned(), entry);
        }
    })?;
    let seen: BTreeMap<NodeId, Order> = clock.seen.into_iter().collect();
    let entries = entries.into_iter().filter(|(_, entry)| names_seen(entry, &seen, node)).map(|(key, entry)| (key, entry.to_bytes()));
    Ok(Some(Share { written, entries: entries.collect() }))
}

/// Whether a share replaces only what its node had seen.
fn names_seen(entry: &Entry, seen: &BTreeMap<Key, Order>, node: &NodeId) -> bool {
    let named = match entry {
        Entry::Register { over, .. } => over,
        Entry::Set { gone, .. } => gone,
        Entry::Counter { .. } => return true,
    };
    named.iter().all(|(of, dot)| of != node && seen.get(of).is_some_and(|at| *at >= dot.at))
}
