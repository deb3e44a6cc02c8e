//! Writing: a batch of changes becomes records of this node, together with the clock of what it had seen.

use super::{
    App, AppStore, Change, ETag, MAX_ALL_BYTES, MAX_ALL_RECORDS, MAX_APP_BYTES_KEPT, MAX_APP_RECORDS, Manifest, Writers,
    entry::{Clock, Dot, Entry, MAX_WRITERS, SCHEMA},
    is_key,
    manifest::MAX_NAMED,
    merge::{self, ShareError, Shares},
    names,
    shown::each,
};
use crate::{
    clock::Millis,
    keys::NodeId,
    records::{self, Kind, Order, Phase, Replica, Slot, WriteError},
    store::{Store, StoreError},
};
use std::collections::BTreeMap;

/// What a record has beyond key and value, at most.
const RECORD_OVERHEAD: usize = 32;
/// Most wishes of a batch.
pub const MAX_WISHES: usize = 64;

/// What must be so for a wish to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The key is as it was when it had this context.
    Is(ETag),
    /// There is nothing under the key.
    Absent,
}

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The key.
    pub key: String,
    /// What to do.
    pub change: Change,
    /// Under which condition.
    pub condition: Option<Condition>,
}

/// Why a batch was refused. Nothing of it was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppError {
    /// No key.
    #[error("`{0}` can't be a key: use 1 to {max} bytes and no control characters", max = names::MAX_KEY_BYTES)]
    Key(String),
    /// Too much at once.
    #[error("{0} changes at once, where {MAX_WISHES} are allowed")]
    TooManyWishes(usize),
    /// The node is still asking its neighbours what it said in an earlier life.
    #[error("this node is still finding out what it said before it was restarted: try again in some seconds")]
    NotYet,
    /// Its manifest says so.
    #[error("this node may not write in `{0}`: its owner's manifest says who may")]
    MayNotWrite(App),
    /// Another value than the one that the wish was made for.
    #[error("`{key}` has changed since it was read")]
    Changed {
        /// The key.
        key: String,
        /// Its context now.
        etag: ETag,
    },
    /// The share can't be.
    #[error("`{key}`: {error}")]
    Share {
        /// The key.
        key: String,
        /// Why.
        error: ShareError,
    },
    /// No room.
    #[error("{what} would have {records} records with {bytes} bytes, where {most} with {most_bytes} are allowed: delete some first")]
    Full {
        /// Of what.
        what: &'static str,
        /// Records.
        records: usize,
        /// Bytes.
        bytes: usize,
        /// Allowed.
        most: usize,
        /// Allowed.
        most_bytes: usize,
    },
    /// Too many nodes.
    #[error("{0} nodes write in this app, where {MAX_WRITERS} may")]
    Writers(usize),
    /// Too many named.
    #[error("{0} writers are named, where {MAX_NAMED} may be")]
    Named(usize),
    /// The records did not take it.
    #[error("{0}")]
    Write(#[from] WriteError),
    /// The store can't be read.
    #[error("not read: {0}")]
    Store(#[from] StoreError),
}

impl AppStore {
    /// Does all wishes of a batch or none. They are on disk when this returns, and shown here; the contexts are those
    /// of the keys as they are now, in the order of the wishes.
    ///
    /// # Errors
    /// See [`AppError`].
    pub fn write<S: Store>(&mut self, now: Millis, replica: &mut Replica<S>, app: &App, wishes: &[Wish]) -> Result<Vec<ETag>, AppError> {
        if wishes.len() > MAX_WISHES {
            return Err(AppError::TooManyWishes(wishes.len()));
        }
        if replica.phase() == Phase::Copied {
            return Err(WriteError::Copied.into());
        }
        if replica.phase() != Phase::Open {
            return Err(AppError::NotYet);
        }
        if !self.may_write(replica, app, &self.me) {
            return Err(AppError::MayNotWrite(app.clone()));
        }
        let mut shares: BTreeMap<&str, Shares> = BTreeMap::new();
        for wish in wishes {
            if !is_key(&wish.key) {
                return Err(AppError::Key(wish.key.clone()));
            }
            shares.insert(&wish.key, self.shares(replica, app, &wish.key)?);
        }
        let at = next(replica);
        let new = plan(&self.me, at, wishes, &mut shares)?;
        self.commit(now, replica, app, at, new)?;
        wishes.iter().map(|wish| Ok(self.read(replica, app, &wish.key)?.etag)).collect()
    }

    /// Writes own shares with the clock of what is shown.
    fn commit<S: Store>(
        &mut self,
        now: Millis,
        replica: &mut Replica<S>,
        app: &App,
        at: Order,
        new: BTreeMap<String, Option<Entry>>,
    ) -> Result<(), AppError> {
        if new.is_empty() {
            return Ok(());
        }
        let members = replica.view().members();
        let others = self.shown.get(app).into_iter().flatten().filter(|(node, _)| **node != self.me && members.contains(*node));
        let seen: Vec<(NodeId, Order)> = others.map(|(node, at)| (*node, *at)).collect();
        if seen.len() >= MAX_WRITERS {
            return Err(AppError::Writers(seen.len() + 1));
        }
        let put = |key: &str, value| records::Change::Put { slot: names::slot(app, key), schema: SCHEMA, value };
        let mut changes = vec![put("", Clock { at, seen }.to_bytes())];
        for (key, entry) in new {
            changes.push(match entry {
                Some(entry) => put(&key, entry.to_bytes()),
                None => records::Change::Remove(names::slot(app, &key)),
            });
        }
        self.fits(replica, app, &changes)?;
        replica.write(now, &changes)?;
        let slot = |change: &records::Change| match change {
            records::Change::Put { slot, .. } | records::Change::Remove(slot) => slot.clone(),
        };
        let slots: Vec<Slot> = changes.iter().map(slot).collect();
        self.changed(replica, self.me, &slots);
        Ok(())
    }

    /// Whether this node's share of an app, and of all, stays within its limits. Growing is refused beyond them,
    /// shrinking never is.
    fn fits<S: Store>(&self, replica: &Replica<S>, app: &App, changes: &[records::Change]) -> Result<(), AppError> {
        let mut sizes: BTreeMap<Slot, usize> = BTreeMap::new();
        each(replica, &self.me, Kind::APP, "", &mut |slot, record| {
            sizes.insert(slot.clone(), slot.key.len() + record.value.len() + RECORD_OVERHEAD);
        })?;
        let of_app = |slot: &Slot| names::of_slot(slot).is_some_and(|(of, _)| of == *app);
        let count = |sizes: &BTreeMap<Slot, usize>, only: bool| {
            let counted = sizes.iter().filter(|(slot, _)| !only || of_app(slot));
            counted.fold((0, 0), |(records, bytes), (_, size)| (records + 1, bytes + size))
        };
        let before = [count(&sizes, true), count(&sizes, false)];
        for change in changes {
            match change {
                records::Change::Put { slot, value, .. } => {
                    sizes.insert(slot.clone(), slot.key.len() + value.len() + RECORD_OVERHEAD);
                }
                records::Change::Remove(slot) => {
                    sizes.remove(slot);
                }
            }
        }
        let after = [count(&sizes, true), count(&sizes, false)];
        let limits =
            [("the app on this node", MAX_APP_RECORDS, MAX_APP_BYTES_KEPT), ("all apps on this node", MAX_ALL_RECORDS, MAX_ALL_BYTES)];
        for ((what, most, most_bytes), (before, (records, bytes))) in limits.into_iter().zip(before.into_iter().zip(after)) {
            let over = (records > most && records > before.0) || (bytes > most_bytes && bytes > before.1);
            if over {
                return Err(AppError::Full { what, records, bytes, most, most_bytes });
            }
        }
        Ok(())
    }

    /// Takes own shares away that others have replaced, and what is left of deletions that all have seen.
    pub(super) fn tidy<S: Store>(&mut self, now: Millis, replica: &mut Replica<S>) {
        if replica.phase() != Phase::Open {
            return;
        }
        let apps: Vec<App> = self.shown.iter().filter(|(_, nodes)| nodes.contains_key(&self.me)).map(|(app, _)| app.clone()).collect();
        for app in apps {
            let mut new = BTreeMap::new();
            let mut own = Vec::new();
            let scanned = each(replica, &self.me, Kind::APP, names::slot(&app, "").key.as_str(), &mut |slot, _| {
                own.extend(names::of_slot(slot).map(|(_, key)| key.to_owned()).filter(|key| !key.is_empty()));
            });
            if scanned.is_err() {
                return;
            }
            for key in own {
                let Ok(shares) = self.shares(replica, &app, &key) else { return };
                if let Some(tidy) = merge::tidied(&shares, &self.me) {
                    new.insert(key, tidy);
                }
            }
            let at = next(replica);
            if self.commit(now, replica, &app, at, new).is_err() {
                // It is tried again with the next round; nothing depends on it.
                return;
            }
        }
    }

    /// Publishes a manifest of an app that the key of `owner_seed` owns: a version above the newest known.
    ///
    /// # Errors
    /// See [`AppError`].
    pub fn publish_manifest<S: Store>(
        &mut self,
        now: Millis,
        replica: &mut Replica<S>,
        owner_seed: &[u8; 32],
        app: &App,
        writers: Writers,
    ) -> Result<(), AppError> {
        if !app.is_of(&NodeId::of_seed(owner_seed)) {
            return Err(AppError::MayNotWrite(app.clone()));
        }
        if let Writers::Only(named) = &writers
            && named.len() > MAX_NAMED
        {
            return Err(AppError::Named(named.len()));
        }
        let version = self.manifest(app).map_or(1, |manifest| manifest.version().saturating_add(1));
        let manifest = Manifest::sign(owner_seed, self.community, app, version, writers);
        let slot = Slot { kind: Kind::MANIFEST, key: app.as_str().to_owned() };
        replica.write(now, &[records::Change::Put { slot: slot.clone(), schema: SCHEMA, value: manifest.to_bytes() }])?;
        self.changed(replica, self.me, &[slot]);
        Ok(())
    }
}

/// The head that the next write of this node makes.
fn next<S: Store>(replica: &Replica<S>) -> Order {
    let order = replica.own_order();
    Order { epoch: order.epoch, sequence: order.sequence.saturating_add(1) }
}

/// What own shares become; `shares` holds those of each key and follows.
fn plan(me: &NodeId, at: Order, wishes: &[Wish], shares: &mut BTreeMap<&str, Shares>) -> Result<BTreeMap<String, Option<Entry>>, AppError> {
    let mut new = BTreeMap::new();
    for (part, wish) in (0_u16..).zip(wishes) {
        let Some(shares) = shares.get_mut(wish.key.as_str()) else { continue };
        let shown = merge::value(shares);
        let holds = match wish.condition {
            None => true,
            Some(Condition::Is(etag)) => shown.etag == etag,
            Some(Condition::Absent) => shown.is_empty(),
        };
        if !holds {
            return Err(AppError::Changed { key: wish.key.clone(), etag: shown.etag });
        }
        let applied = merge::apply(shares, me, Dot { at, part }, &wish.change);
        let entry = applied.map_err(|error| AppError::Share { key: wish.key.clone(), error })?;
        match &entry {
            Some(entry) => drop(shares.insert(*me, entry.clone())),
            None => drop(shares.remove(me)),
        }
        new.insert(wish.key.clone(), entry);
    }
    Ok(new)
}
