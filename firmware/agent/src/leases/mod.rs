//! Apps on somebody else's node, by offer and consent: what this node offers to others, and what it runs for them.
//!
//! ```text
//! offer ─▶ record ─▶ drive: message ─▶ the other node's record ─▶ policy or owner ─▶ lease ─▶ drive: plan decides, apps act
//! ```
//! Architecture invariant: nothing of another node runs here unless this node's owner, or the policy that its owner set, agreed; and it
//! runs as every app of the catalog does, without privileges.

mod about;
mod drive;
mod offer;
mod place;
mod plan;
mod policy;
mod record;
mod replicas;
mod replicate;
mod shown;
mod time;

pub use plan::Stands;
pub use policy::{Consent, Policy};
pub use record::Lent;
pub use replicas::Wanted;
pub use shown::{GivenView, HeldView, LeasesView, ReplicasView};

use crate::apps::{Apps, Bar, NotShared, Refused as AppRefused};
use crate::blobs::Blobs;
use crate::host;
use crate::net::{ClusterView, NetHandle, Refused as RecordsRefused, Registry};
use about::About;
use cluster::leases::{Holding, Lease, Lending, Said, Terms};
use cluster::{CommunityId, Millis, NodeId};
use data_encoding::HEXLOWER;
use plan::next;
use policy::Asked;
use rand::RngExt;
use record::Kept;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Where it is kept, below the agent's data folder.
const FILE: &str = "leases/leases.json";
/// The term of an exclusive lease where nobody says one.
const EXCLUSIVE_SECONDS: u32 = 300;
/// Of another one.
const SHARED_SECONDS: u32 = 7 * 24 * 3600;
/// How long an app may take to stop, where that is not known yet.
const LONG_STOP: Duration = Duration::from_secs(30);
/// Copies of an app at most.
const COPIES_MOST: u16 = 16;

/// What somebody wants to offer: `POST /api/v1/leases`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = LeaseWish))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Wish {
    /// An app of this node's catalog.
    pub app: String,
    /// The id of the node that is asked; none where `copies` says how many are.
    pub node: Option<String>,
    /// So many nodes are asked: the owner's own first, then those with the most free memory.
    pub copies: Option<u16>,
    /// How it is set there.
    pub settings: BTreeMap<String, String>,
    /// Whether nobody else may run it meanwhile.
    pub exclusive: bool,
    /// How long it runs there without hearing of this node; 300 where it is exclusive, or 604800.
    pub term_seconds: Option<u32>,
    /// Words to the other node's owner.
    pub note: String,
}

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// This node is alone.
    #[error("this node belongs to no community, so there is nobody to offer an app to")]
    NoCommunity,
    /// There is no such lease.
    #[error("there is no lease or offer `{0}`, or nothing is to be decided of it any more: `cloudy lease ls` shows what there is")]
    Unknown(String),
    /// Something of the wish can't be.
    #[error("{0}")]
    Wrong(String),
    /// What is wished does not go with what there is.
    #[error("{0}")]
    Conflict(String),
    /// The app.
    #[error(transparent)]
    App(#[from] AppRefused),
    /// It can't be given to others.
    #[error(transparent)]
    NotShared(#[from] NotShared),
    /// The records.
    #[error(transparent)]
    Records(#[from] RecordsRefused),
    /// It could not be written.
    #[error("it can't be recorded, so nothing was done: {0}")]
    NotKept(String),
}

/// The clocks of all leases, of this life alone.
#[derive(Debug, Default)]
struct Clocks {
    holding: BTreeMap<String, Holding>,
    /// How long before its time is over each app is stopped, where that is known.
    leads: BTreeMap<String, Duration>,
    /// When something was tried last, so that what fails is not tried without a pause.
    tried: BTreeMap<String, Millis>,
    lending: BTreeMap<String, Lending>,
    /// Since when nodes that run copies are not there.
    gone: BTreeMap<String, Millis>,
    /// What came of keeping an app's copies when that was looked at last.
    keeping: BTreeMap<String, replicate::Kept>,
}

impl Clocks {
    fn lead(&self, id: &str) -> Duration {
        self.leads.get(id).copied().unwrap_or(time::lead(LONG_STOP))
    }
}

/// The leases of this node.
pub struct Leases {
    file: PathBuf,
    apps: Arc<Apps>,
    blobs: Arc<Blobs>,
    net: Option<NetHandle>,
    kept: Mutex<Kept>,
    /// Held while something is written, which waits for the disk; `kept` itself never is.
    altering: Mutex<()>,
    clocks: Mutex<Clocks>,
    started: Millis,
    wake: Notify,
    /// Its time of an exclusive app may have changed.
    timed: Notify,
    /// How many copies there are, or are wanted, may have changed.
    counted: Notify,
}

impl Leases {
    /// Opens what is kept below `data`.
    pub fn open(data: &Path, apps: Arc<Apps>, blobs: Arc<Blobs>, net: Option<NetHandle>) -> Self {
        let file = data.join(FILE);
        let mut kept = Kept::load(&file);
        let clocks = Self::clocks_after_a_start(&mut kept);
        let (kept, altering, started, wake) = (Mutex::new(kept), Mutex::new(()), running(), Notify::new());
        let (clocks, timed, counted) = (Mutex::new(clocks), Notify::new(), Notify::new());
        let leases = Self { file, apps, blobs, net, kept, altering, clocks, started, wake, timed, counted };
        leases.bar();
        leases
    }

    /// What can be known of leases after a start: nothing is granted to this node, and what it gave may have been granted a moment ago.
    fn clocks_after_a_start(kept: &mut Kept) -> Clocks {
        let mut clocks = Clocks::default();
        for held in kept.held.values_mut().filter(|held| held.holds()) {
            held.paused = held.terms().exclusive && held.stands == Stands::Runs && !held.stopped;
        }
        let told: BTreeSet<String> = kept
            .tell
            .iter()
            .filter_map(|tell| if let Said::Offer(offer) = &tell.said { Some(offer.id.to_string()) } else { None })
            .collect();
        for (id, given) in &mut kept.given {
            // The agent ended before anybody was told of it.
            if given.stands == Lent::Offered && given.message.is_none() && !told.contains(id) {
                given.why = "it was not told to anybody".to_owned();
                given.over();
            }
        }
        for (id, given) in kept.given.iter().filter(|(_, given)| given.stands != Lent::Over) {
            clocks.lending.insert(id.clone(), Lending::restored(Millis(0), given.offer.terms.term(), !given.may_be_granted()));
        }
        clocks
    }

    fn now(&self) -> Millis {
        Millis(running().0.saturating_sub(self.started.0))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clocks(&self) -> MutexGuard<'_, Clocks> {
        self.clocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is kept; it is on the disk when this returns. Where that fails, nothing is changed.
    fn alter<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> Result<T, Refused> {
        let _one = self.altering.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.kept().clone();
        let mut next = now.clone();
        let out = change(&mut next);
        if next != now {
            next.set_aside(host::now_secs());
            next.forget();
            next.save(&self.file).map_err(|error| Refused::NotKept(format!("{error:#}")))?;
            *self.kept() = next;
        }
        Ok(out)
    }

    /// Likewise, on a thread that may wait for the disk; then what follows from it is done.
    async fn altered<T: Send + 'static>(self: &Arc<Self>, change: impl FnOnce(&mut Kept) -> T + Send + 'static) -> Result<T, Refused> {
        let leases = Arc::clone(self);
        let altered = tokio::task::spawn_blocking(move || leases.alter(change)).await;
        let out = altered.map_err(|ending| Refused::NotKept(ending.to_string()))??;
        self.bar();
        self.wake.notify_one();
        self.timed.notify_one();
        self.counted.notify_one();
        Ok(out)
    }

    /// Has no app start that must not: one that is lent to one holder alone, and one whose time is over, or soon will be.
    fn bar(&self) {
        let (now, kept, clocks) = (self.now(), self.kept(), self.clocks());
        let mut bars = BTreeMap::new();
        for given in kept.given.values().filter(|given| given.offer.terms.exclusive && given.stands != Lent::Over) {
            let whom = given.offer.holder.short();
            let why = format!("it is lent to the node {whom} alone: take it back first (`cloudy lease ls`)");
            bars.insert(given.app.clone(), Bar { from: None, why });
        }
        for (id, held) in kept.held.iter().filter(|(_, held)| held.terms().exclusive && held.holds()) {
            let ends = clocks.holding.get(id).and_then(|holding| holding.ends(clocks.lead(id))).filter(|ends| *ends > now);
            // It holds by itself when that moment comes.
            let from = ends.map(|ends| Instant::now() + ends.since(now));
            let why = "its lender has not said that its time goes on, and nobody else may run it meanwhile".to_owned();
            bars.insert(held.about.app.name.clone(), Bar { from, why });
        }
        self.apps.bar(bars);
    }

    fn view_of_net(&self) -> Option<ClusterView> {
        self.net.as_ref().map(|net| net.view.borrow().clone())
    }

    fn registry(&self) -> Option<Registry> {
        self.net.as_ref().and_then(|net| net.registry.borrow().clone())
    }

    /// This node and its community.
    fn place(&self) -> Option<(NodeId, CommunityId)> {
        let view = self.view_of_net()?;
        Some((NodeId::of_hex(&view.me.id)?, CommunityId(digits(&view.community?.id)?)))
    }

    /// All that is shown.
    pub fn view(&self) -> LeasesView {
        let names: BTreeMap<String, String> =
            self.view_of_net().map(|view| view.members.into_iter().map(|member| (member.id, member.name)).collect()).unwrap_or_default();
        let name = |id: &str| names.get(id).cloned().unwrap_or_default();
        let (now, kept, clocks) = (self.now(), self.kept(), self.clocks());
        let seconds = |until: Millis| until.since(now).as_secs();
        let given = kept.given.iter().map(|(id, given)| GivenView {
            id: id.clone(),
            app: given.app.clone(),
            node_name: name(&given.to()),
            node: given.to(),
            exclusive: given.offer.terms.exclusive,
            term_seconds: given.offer.terms.seconds,
            state: given.stands,
            why: given.why.clone(),
            offered: given.at,
            free_in_seconds: clocks.lending.get(id).and_then(Lending::free_at).filter(|_| given.stands == Lent::Ending).map(seconds),
        });
        let held = kept.held.iter().map(|(id, held)| HeldView {
            id: id.clone(),
            app: held.about.app.clone(),
            size_bytes: held.about.size_bytes,
            settings: held.about.settings.keys().cloned().collect(),
            note: held.about.note.clone(),
            node_name: name(&held.from()),
            node: held.from(),
            exclusive: held.terms().exclusive,
            term_seconds: held.terms().seconds,
            state: held.stands,
            why: held.why.clone(),
            offered: held.at,
            time_left_seconds: clocks
                .holding
                .get(id)
                .filter(|_| held.holds())
                .and_then(|holding| holding.ends(Duration::ZERO))
                .map(seconds),
            job: held.job,
            replaces: held.stands == Stands::Asked && self.replaces(&held.about),
        });
        let (mut given, mut held): (Vec<GivenView>, Vec<HeldView>) = (given.collect(), held.collect());
        given.sort_by_key(|lease| (lease.state == Lent::Over, std::cmp::Reverse(lease.offered)));
        held.sort_by_key(|lease| (lease.state == Stands::Over, std::cmp::Reverse(lease.offered)));
        let replicas = kept.replicas.iter().map(|(app, wish)| replicate::shown(app, wish, &kept.copies(app), &clocks)).collect();
        LeasesView { given, held, policy: kept.policy.clone(), replicas }
    }

    /// An owner agrees to an offer.
    ///
    /// # Errors
    /// See [`Refused`]; nothing was changed.
    pub async fn accept(self: &Arc<Self>, id: &str) -> Result<(), Refused> {
        let held = self.kept().held.get(id).filter(|held| held.stands == Stands::Asked).cloned();
        let held = held.ok_or_else(|| Refused::Unknown(id.to_owned()))?;
        let from = held.from();
        let policy = self.kept().policy.clone();
        policy.agree(&self.asked(&held.about, &from, id)).map_err(Refused::Conflict)?;
        let registry = self.registry().ok_or(Refused::NoCommunity)?;
        let lease = registry.sign_lease(held.offer.clone()).await?;
        // What it takes the place of is shown beside the button.
        self.decide(id, Ok((lease, self.replaces(&held.about)))).await
    }

    /// An owner does not.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn refuse(self: &Arc<Self>, id: &str) -> Result<(), Refused> {
        self.decide(id, Err("its owner said no".to_owned())).await
    }

    async fn decide(self: &Arc<Self>, id: &str, answer: Result<(Lease, bool), String>) -> Result<(), Refused> {
        let of = id.to_owned();
        let decided = self.altered(move |kept| kept.decide(&of, answer)).await?;
        if decided { Ok(()) } else { Err(Refused::Unknown(id.to_owned())) }
    }

    /// This side ends a lease, or takes an offer back.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn end(self: &Arc<Self>, id: &str) -> Result<(), Refused> {
        let of = id.to_owned();
        if let Some(lending) = self.clocks().lending.get_mut(id) {
            lending.end();
        }
        let ended = self.altered(move |kept| {
            let why = if kept.held.contains_key(&of) { "the owner of the node where it ran ended it" } else { "taken back" };
            kept.end(&of, why)
        });
        if ended.await? { Ok(()) } else { Err(Refused::Unknown(id.to_owned())) }
    }

    /// Sets the owner's policy.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn set_policy(self: &Arc<Self>, policy: Policy) -> Result<(), Refused> {
        policy.check().map_err(Refused::Wrong)?;
        self.altered(move |kept| kept.policy = policy).await
    }

    /// Whether an app of that name is in the catalog in another version.
    fn replaces(&self, about: &About) -> bool {
        self.apps.catalog().get(&about.app.name).is_some_and(|entry| entry.index != about.app.index)
    }

    /// What the policy is asked about an offer.
    fn asked<'a>(&self, about: &About, from: &'a str, id: &str) -> Asked<'a> {
        let hosted = self.apps.hosted(&about.app.name, None);
        let this = self.apps.catalog().arch().map(|arch| arch.to_string());
        let kept = self.kept();
        let others = || kept.held.iter().filter(|(other, held)| *other != id && held.holds());
        Asked {
            from,
            fits: this.as_ref() == Some(&about.app.architecture),
            here: hosted.installed || hosted.busy || others().any(|(_, held)| held.about.app.name == about.app.name),
            replaces: self.replaces(about),
            running: others().count(),
            own: self.household().iter().any(|node| node == from),
        }
    }
}

/// How long this machine has been running, with the time that it slept: what sleeps has its time go on.
fn running() -> Millis {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    Millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// A lease that begins here, or began before this machine was started: one that is not exclusive runs on for its whole term.
fn holding(now: Millis, terms: Terms) -> Holding {
    let mut holding = Holding::new(now, terms.term(), rand::rng().random());
    if !terms.exclusive
        && let Some(number) = holding.ask(now)
    {
        holding.granted(number);
    }
    holding
}

fn ending(error: tokio::task::JoinError) -> Refused {
    Refused::NotKept(error.to_string())
}

fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}
