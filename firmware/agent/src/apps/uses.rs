//! What apps use of this node: counted when somebody looks, and never twice at once.

use super::{Apps, Refused};
use crate::broker::{Counted, Counters, Request};
use crate::host;
use crate::limits::USES_HOLD;
use crate::sampled::Sampled;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What an app that runs uses, all of its containers together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AppUse))]
#[serde(rename_all = "kebab-case")]
pub struct UseView {
    /// Its name.
    pub name: String,
    /// Percent of one processor that it took lately; none at the first look, and where its containers were started since.
    pub cpu_percent: Option<f64>,
    /// Memory that it holds.
    pub memory_bytes: u64,
    /// Memory that it may hold, that of the node at most; none where Docker does not say.
    pub memory_limit_bytes: Option<u64>,
    /// Bytes that came over the network since its containers were started.
    pub received_bytes: u64,
    /// Bytes that went out over it.
    pub sent_bytes: u64,
    /// Bytes that were read from disks.
    pub read_bytes: u64,
    /// Bytes that were written to disks.
    pub written_bytes: u64,
}

/// How busy a container was between two counts, in tenths of a percent of one processor; none where they are no two counts of one run.
fn tenths(before: &Counters, now: &Counters) -> Option<u32> {
    let worked = u128::from(now.cpu_nanos.checked_sub(before.cpu_nanos)?);
    let passed = u128::from(now.machine_nanos.checked_sub(before.machine_nanos).filter(|nanos| *nanos > 0)?);
    let cpus = u128::from(now.cpus);
    // More than all processors of the machine is a fault of the figures.
    let all = cpus * 1000;
    u32::try_from((worked.saturating_mul(all) / passed).min(all)).ok()
}

/// What an app uses by two counts of its containers.
fn view(name: &str, before: Option<&BTreeMap<String, Counters>>, now: &BTreeMap<String, Counters>, memory: u64) -> UseView {
    let sum = |of: fn(&Counters) -> u64| now.values().map(of).fold(0, u64::saturating_add);
    let busy: Vec<u32> = now.iter().filter_map(|(id, now)| tenths(before?.get(id)?, now)).collect();
    let limits = now.values().try_fold(0_u64, |sum, counters| Some(sum.saturating_add(counters.memory_limit?)));
    UseView {
        name: name.to_owned(),
        cpu_percent: (!busy.is_empty()).then(|| f64::from(busy.iter().copied().fold(0, u32::saturating_add)) / 10.0),
        memory_bytes: sum(|counters| counters.memory),
        memory_limit_bytes: limits.map(|limit| limit.min(memory)).filter(|limit| *limit > 0),
        received_bytes: sum(|counters| counters.received),
        sent_bytes: sum(|counters| counters.sent),
        read_bytes: sum(|counters| counters.read),
        written_bytes: sum(|counters| counters.written),
    }
}

/// What was counted.
pub struct Uses {
    shown: Sampled<Result<BTreeMap<String, UseView>, String>>,
    /// Last, with when.
    last: Mutex<Option<(Instant, Counted)>>,
}

impl Uses {
    /// Nothing was counted yet; what is counted may be shown for `max_age`.
    pub fn new(max_age: Duration) -> Self {
        Self { shown: Sampled::new(max_age), last: Mutex::default() }
    }

    fn last(&self) -> MutexGuard<'_, Option<(Instant, Counted)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Apps {
    /// What apps use that run, by name, as it was a few seconds ago at most. One that is stopped uses nothing, and is not among them.
    ///
    /// # Errors
    /// Docker can't be asked.
    pub async fn uses(&self) -> Result<Vec<UseView>, Refused> {
        let any = { !self.kept().apps.is_empty() };
        if !any {
            return Ok(Vec::new());
        }
        let uses = self.uses.shown.get(async || self.count().await).await.map_err(Refused::Docker)?;
        // What was stopped since then uses nothing any more.
        let seen = self.seen().await;
        let runs = |name: &String| Self::of(&seen, name).is_some_and(|state| state.run.is_up());
        let kept = self.kept();
        Ok(uses.into_iter().filter(|(name, _)| runs(name) && kept.apps.contains_key(name)).map(|(_, its)| its).collect())
    }

    /// Lets the next look count again.
    #[cfg(test)]
    pub async fn forget_uses(&self) {
        self.uses.shown.forget().await;
    }

    /// Counts once: no page waits for a second count, and how busy an app is is told at the next look.
    async fn count(&self) -> Result<BTreeMap<String, UseView>, String> {
        let now: Counted = self.ask_docker(&Request::Uses {}).await?;
        let last = self.uses.last().replace((Instant::now(), now.clone())).filter(|(when, _)| when.elapsed() < USES_HOLD);
        let before = last.map(|(_, counted)| counted).unwrap_or_default();
        let memory = host::memory();
        Ok(now.iter().map(|(name, its)| (name.clone(), view(name, before.get(name), its, memory))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Played, over, wish};
    use super::*;
    use serde_json::{Value, json};

    fn counters(cpu_nanos: u64, machine_nanos: u64, cpus: u32) -> Counters {
        Counters { cpu_nanos, machine_nanos, cpus, ..Counters::default() }
    }

    #[test]
    fn how_busy_an_app_is_is_told_by_two_counts_of_one_run() {
        // Of four processors, one second each: one of them worked for half a second.
        let busy = |cpu, machine, cpus| tenths(&counters(1_000, 5_000, 4), &counters(cpu, machine, cpus));
        assert_eq!(busy(1_000 + 500_000_000, 5_000 + 4_000_000_000, 4), Some(500));
        assert_eq!(busy(1_000, 6_000, 4), Some(0));
        // What was started anew, or was counted at one moment, says nothing; nor does what makes no sense say more than is there.
        assert_eq!((busy(999, 6_000, 4), busy(2_000, 5_000, 4), busy(2_000, 4_999, 4)), (None, None, None));
        assert_eq!(busy(u64::MAX, 5_001, 4), Some(4_000));
        assert_eq!(busy(u64::MAX, 5_001, u32::MAX), None);
        assert_eq!(busy(2_000, 6_000, 0), Some(0));
    }

    #[test]
    fn an_app_uses_what_its_containers_use_together() {
        let one = Counters { memory: 10, memory_limit: Some(100), received: 1, sent: 2, read: 3, written: 4, ..counters(10, 1_000, 2) };
        let other = Counters { memory: u64::MAX, memory_limit: Some(50), received: u64::MAX, ..one };
        let before = [("a".to_owned(), counters(0, 500, 2)), ("b".to_owned(), counters(20, 500, 2))].into();
        let now: BTreeMap<String, Counters> = [("a".to_owned(), one), ("b".to_owned(), other), ("c".to_owned(), one)].into();
        let seen = view("wiki", Some(&before), &now, 1_000);
        // Of `b`, that was started anew, and `c`, that is new, it is not known how busy they are.
        assert_eq!((seen.cpu_percent, seen.memory_limit_bytes), (Some(4.0), Some(250)));
        assert_eq!(
            (seen.memory_bytes, seen.received_bytes, seen.sent_bytes, seen.read_bytes, seen.written_bytes),
            (u64::MAX, u64::MAX, 6, 9, 12)
        );
        assert_eq!(view("wiki", Some(&before), &now, 200).memory_limit_bytes, Some(200), "no more than the node has");
        let unlimited = [("a".to_owned(), Counters { memory_limit: None, ..one })].into();
        let seen = view("wiki", None, &unlimited, 1_000);
        assert_eq!((seen.cpu_percent, seen.memory_limit_bytes), (None, None));
    }

    fn counted(cpu: u64, machine: u64) -> Value {
        let its = serde_json::to_value(Counters { memory: 7, ..counters(cpu, machine, 1) }).unwrap();
        json!({ "done": { "broker": { "id": its }, "gone": { "id": its } } })
    }

    #[tokio::test]
    async fn it_is_counted_when_somebody_looks_and_once_for_all_who_do() {
        let mut played = Played::start();
        let apps = played.with_app();
        assert!(apps.uses().await.unwrap().is_empty() && played.words().is_empty(), "nothing is installed, and nobody is asked");
        let job = apps.install("broker", wish()).unwrap();
        assert_eq!(over(&apps, job.id).await.state, "done");
        played.words();
        played.answer("uses", counted(0, 100));
        let all = futures_util::future::join_all((0..8).map(|_| apps.uses())).await;
        for uses in all {
            let uses = uses.unwrap();
            assert_eq!((uses.len(), uses[0].name.as_str(), uses[0].cpu_percent, uses[0].memory_bytes), (1, "broker", None, 7));
        }
        assert_eq!(played.words(), ["uses"], "once, and the first time there is nothing to hold it against");
        for (cpu, machine, percent) in [(50, 200, 50.0), (60, 300, 10.0)] {
            apps.forget_uses().await;
            played.answer("uses", counted(cpu, machine));
            assert_eq!(apps.uses().await.unwrap()[0].cpu_percent, Some(percent));
            assert_eq!(played.words(), ["uses"]);
        }
        apps.forget_uses().await;
        played.answer("uses", json!({ "done": {} }));
        assert!(apps.uses().await.unwrap().is_empty(), "what is stopped uses nothing");
        apps.forget_uses().await;
        played.answer("uses", json!({ "failed": { "error": "Docker does not answer" } }));
        assert!(matches!(apps.uses().await, Err(Refused::Docker(why)) if why.contains("does not answer")));
    }
}
