//! What is decided about disks: which may be prepared, what the root unit is asked, how each is shown, what is done next. Pure.

use super::facts::Seen;
use super::{DiskState, DiskView, Known, Mounted, Said, SaidHow};
use contract::storage::{DiskId, MIN_BYTES, is_name};
use disks::{Needs, Refusal};
use std::collections::{BTreeMap, BTreeSet};

/// What the root unit may be asked: its instance says it, and nothing else is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Make a disk one of ours. All that is on it is lost.
    Prepare {
        /// The kernel's name: `sdb`.
        disk: String,
        /// The disk that was meant ([`Seen::mark`]).
        mark: String,
        /// Which it shall be.
        id: DiskId,
        /// What it shall be called.
        name: String,
    },
    /// Look whether its file system is whole, and mount it.
    Mount(DiskId),
    /// Mend its file system as well as can be.
    Repair(DiskId),
    /// Unmount it, so that it may be unplugged.
    Eject(DiskId),
    /// Unmount one that is gone.
    Gone(DiskId),
    /// Take away what was put aside on it.
    Tidy(DiskId),
}

impl Ask {
    /// The disk of ours that it is about.
    pub fn id(&self) -> DiskId {
        match self {
            Self::Prepare { id, .. } | Self::Mount(id) | Self::Repair(id) | Self::Eject(id) | Self::Gone(id) | Self::Tidy(id) => *id,
        }
    }

    /// The unit that does it.
    pub fn unit(&self) -> String {
        let instance = match self {
            Self::Prepare { disk, mark, id, name } => {
                let name: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
                format!("prepare-{disk}-{mark}-{id}-{name}")
            }
            Self::Mount(id) => format!("mount-{id}"),
            Self::Repair(id) => format!("repair-{id}"),
            Self::Eject(id) => format!("eject-{id}"),
            Self::Gone(id) => format!("gone-{id}"),
            Self::Tidy(id) => format!("tidy-{id}"),
        };
        format!("cloudy-disk@{instance}.service")
    }

    /// What a unit's instance asks for.
    pub fn read(instance: &str) -> Option<Self> {
        let mut words = instance.split('-');
        let (verb, rest) = (words.next()?, words.collect::<Vec<_>>());
        match (verb, rest.as_slice()) {
            ("prepare", [disk, mark, id, name]) => {
                let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
                let bytes: Option<Vec<u8>> =
                    name.as_bytes().chunks(2).map(|two| u8::from_str_radix(str::from_utf8(two).ok()?, 16).ok()).collect();
                let name = String::from_utf8(bytes.filter(|_| name.len() % 2 == 0 && hex(name))?).ok().filter(|name| is_name(name))?;
                (is_kernels(disk) && mark.len() == 16 && hex(mark))
                    .then(|| Some(Self::Prepare { disk: (*disk).to_owned(), mark: (*mark).to_owned(), id: id.parse().ok()?, name }))?
            }
            ("mount", [id]) => id.parse().ok().map(Self::Mount),
            ("repair", [id]) => id.parse().ok().map(Self::Repair),
            ("eject", [id]) => id.parse().ok().map(Self::Eject),
            ("gone", [id]) => id.parse().ok().map(Self::Gone),
            ("tidy", [id]) => id.parse().ok().map(Self::Tidy),
            _ => None,
        }
    }
}

/// As the polkit rule has it: a letter, then letters and digits.
fn is_kernels(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

/// Why a disk is not prepared.
#[derive(Debug, thiserror::Error)]
pub enum NotPrepared {
    /// It is not there any more, or another has its name now.
    #[error("the disk that was meant is not there any more: look at the list again")]
    Gone,
    /// Nobody knows which disk the system stands on.
    #[error("nothing says which disk this system was started from, so no disk is written")]
    NoImage,
    /// It must not be.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Whether a disk may be prepared, whatever is on it. `running` is the kernel's name of the disk that this system was started from: on it
/// are boot loader, slots and data.
///
/// # Errors
/// Why not.
pub fn may_be_prepared(seen: &Seen, running: Option<&str>) -> Result<(), NotPrepared> {
    let running = running.ok_or(NotPrepared::NoImage)?;
    let needs = Needs { image_bytes: 0, node_bytes: MIN_BYTES };
    Ok(disks::rules::judge_install(&seen.disk, running, needs, None, true)?)
}

/// The disk that was meant, if it may be prepared.
///
/// # Errors
/// Why not.
pub fn meant<'a>(all: &'a [Seen], disk: &str, mark: &str, running: Option<&str>) -> Result<&'a Seen, NotPrepared> {
    let found = all.iter().find(|seen| seen.disk.name == disk && seen.mark() == mark).ok_or(NotPrepared::Gone)?;
    may_be_prepared(found, running).map(|()| found)
}

/// What is said of a disk that takes nothing more.
const ONLY_READ: &str = "the disk takes nothing more that is written, so it may be broken: take it away, and have it repaired or replaced";

/// How all disks are. `mounted` is what is in the folders of ours, `placed` the apps whose data lie on one.
pub fn views(
    all: &[Seen],
    running: Option<&str>,
    known: &Known,
    mounted: &BTreeMap<DiskId, Mounted>,
    said: &BTreeMap<DiskId, Said>,
    placed: &BTreeMap<String, DiskId>,
) -> Vec<DiskView> {
    let apps = |id: DiskId| placed.iter().filter(|(_, at)| **at == id).map(|(app, _)| app.clone()).collect::<Vec<_>>();
    let one = |seen: &Seen| {
        let base = DiskView {
            disk: seen.disk.path(),
            mark: seen.mark(),
            model: seen.disk.model.clone(),
            bytes: seen.disk.bytes,
            serial: seen.serial.clone(),
            bus: seen.bus.clone(),
            holds: seen.holds(),
            ..DiskView::default()
        };
        if running == Some(seen.disk.name.as_str()) {
            return DiskView { state: DiskState::System, ..base };
        }
        let Some((id, part)) = seen.ours() else {
            return match may_be_prepared(seen, running) {
                Ok(()) => DiskView { state: DiskState::Free, ..base },
                Err(why) => DiskView { state: DiskState::Refused, wrong: Some(why.to_string()), ..base },
            };
        };
        let name = known.disks.get(&id).cloned();
        let said = said.get(&id).filter(|said| said.sequences.contains(&seen.sequence));
        let (state, wrong) = match (mounted.get(&id), &name, said) {
            (Some(mounted), ..) if mounted.number == part.number && mounted.only_read => (DiskState::ReadOnly, Some(ONLY_READ.to_owned())),
            (Some(mounted), ..) if mounted.number == part.number => (DiskState::Ready, None),
            (_, None, _) => (DiskState::Strange, None),
            (_, _, Some(Said { how: SaidHow::Ejected, .. })) => (DiskState::Ejected, None),
            (_, _, Some(Said { how: SaidHow::Wrong, why, .. })) => (DiskState::Wrong, Some(why.clone())),
            _ => (DiskState::Coming, None),
        };
        let name = Some(name.unwrap_or_else(|| part.holds.1.clone()));
        DiskView { id: Some(id), name, state, wrong, apps: apps(id), ..base }
    };
    let mut views: Vec<DiskView> = all.iter().map(one).collect();
    let there: BTreeSet<DiskId> = views.iter().filter_map(|view| view.id).collect();
    for (id, name) in known.disks.iter().filter(|(id, _)| !there.contains(id) && placed.values().any(|at| at == *id)) {
        views.push(DiskView { id: Some(*id), name: Some(name.clone()), state: DiskState::Missing, apps: apps(*id), ..DiskView::default() });
    }
    views
}

/// Apps whose data lie on a disk, whether or not it can be used now.
pub fn on(seen: &Seen, placed: &BTreeMap<String, DiskId>) -> Vec<String> {
    let at = seen.ours().map(|(id, _)| id);
    placed.iter().filter(|(_, id)| at == Some(**id)).map(|(app, _)| app.clone()).collect()
}

/// What is seen of an app whose data lie on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its name.
    pub app: String,
    /// The disk.
    pub disk: DiskId,
    /// Whether a container is there that is meant to run; nobody knows while Docker can't be asked.
    pub up: Option<bool>,
    /// Whether somebody stopped it.
    pub resting: bool,
    /// Whether a job is at work on it.
    pub busy: bool,
}

/// What is done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Ask the root unit.
    Ask(Ask),
    /// Stop an app at once: its disk is gone.
    Halt(String),
    /// Start an app: its disk is there again.
    Start(String),
}

/// Decides it. `mounted` is what is in the folders of ours; `tried` are apps that were started since their disk came.
pub fn next(views: &[DiskView], mounted: &BTreeMap<DiskId, Mounted>, placed: &[Placed], tried: &BTreeSet<String>) -> Vec<Act> {
    // Where two are copies of each other, the one that is used counts.
    let is = |id: DiskId, states: &[DiskState]| views.iter().any(|view| view.id == Some(id) && states.contains(&view.state));
    let ready = |id: DiskId| is(id, &[DiskState::Ready]);
    let lost = placed.iter().filter(|its| its.up == Some(true) && !ready(its.disk));
    let mut acts: Vec<Act> = lost.map(|its| Act::Halt(its.app.clone())).collect();
    // One that can only be read is there, and let go by a person.
    for id in mounted.keys().filter(|id| !is(**id, &[DiskState::Ready, DiskState::ReadOnly])) {
        // What a container holds on to is let go first.
        let held = placed.iter().any(|its| its.disk == *id && its.up != Some(false));
        if !held {
            acts.push(Act::Ask(Ask::Gone(*id)));
        }
    }
    for view in views.iter().filter(|view| view.state == DiskState::Coming) {
        acts.extend(view.id.filter(|id| !mounted.contains_key(id)).map(|id| Act::Ask(Ask::Mount(id))));
    }
    let waits = |its: &&Placed| its.up == Some(false) && !its.resting && !its.busy && !tried.contains(&its.app);
    acts.extend(placed.iter().filter(waits).filter(|its| ready(its.disk)).map(|its| Act::Start(its.app.clone())));
    acts
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
