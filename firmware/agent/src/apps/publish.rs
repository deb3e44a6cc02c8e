//! Published apps: each a service of the registry that says how the app is, so that who looks for it finds it and learns that it is stopped.

use super::record::{Installed, Kept};
use super::{Apps, Face, Publication, Refused};
use crate::broker::Run;
use crate::limits::PUBLISHED_EVERY;
use crate::net::{Draft, Registry, Service, ServiceHealth};
use crate::revision::Expected;
use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After so many looks that came to nothing, what was told before is not believed any more.
const BLIND_LOOKS: u32 = 3;
/// So long an app runs that was ill before it is told to be well.
const STEADY: Duration = Duration::from_secs(60);

/// Why an app is not published.
#[derive(Debug, thiserror::Error)]
pub enum NotPublished {
    /// It is not there, or busy.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// What was said of it can't be published.
    #[error("{0}")]
    Draft(String),
    /// Somebody published another thing under its name.
    #[error("a service `{0}` is published here already, by hand: `cloudy withdraw {0}` takes it back")]
    Taken(String),
    /// The records.
    #[error(transparent)]
    Records(#[from] crate::net::Refused),
}

/// What is told of an app.
fn draft(app: &Face, ports: &BTreeMap<String, u16>, wanted: &Publication) -> Result<Draft, String> {
    let said = Draft {
        title: Some(wanted.title.clone().unwrap_or_else(|| app.title.en.clone())),
        description: wanted.description.clone().unwrap_or_else(|| app.description.en.clone()),
        category: wanted.category.clone().unwrap_or_else(|| app.category.word().to_owned()),
        languages: wanted.languages.clone(),
        ..Draft::default()
    };
    if let Some(url) = wanted.url.clone() {
        let port =
            wanted.port.as_ref().map(|port| format!("an app is published at an address or at a port, and not at both: leave `{port}` out"));
        return port.map_or(Ok(Draft { url: Some(url), ..said }), Err);
    }
    let names = || app.ports.keys().cloned().collect::<Vec<_>>().join(", ");
    let name = match (&wanted.port, app.ports.len()) {
        (Some(name), _) => name,
        (None, 1) => app.ports.keys().next().ok_or("it has no port")?,
        (None, 0) => return Err(format!("the app `{}` has no port that could be published", app.name)),
        (None, _) => return Err(format!("the app `{}` has several ports: choose one of {} with --port", app.name, names())),
    };
    let (Some(port), Some(number)) = (app.ports.get(name), ports.get(name)) else {
        return Err(format!("the app `{}` has no port `{name}`: it has {}", app.name, names()));
    };
    Ok(Draft { port: Some(*number), scheme: Some(port.scheme().to_owned()), ..said })
}

/// What is told of how an app is that was looked at.
fn health(run: Run) -> ServiceHealth {
    match run {
        Run::Absent | Run::Stopped => ServiceHealth::Stopped,
        Run::Failing | Run::Ill => ServiceHealth::Ill,
        Run::Starting => ServiceHealth::Starting,
        Run::Running => ServiceHealth::Well,
    }
}

/// What is remembered from one look at the apps to the next.
#[derive(Debug, Default)]
pub struct Watched {
    /// Looks that came to nothing, one after the other: Docker could not be asked.
    blind: u32,
    /// Since when each app that runs was seen to.
    running: BTreeMap<String, Instant>,
}

impl Watched {
    /// Notes how apps are; none where nobody can say.
    fn note(&mut self, seen: Option<&BTreeMap<String, Run>>, now: Instant) {
        let Some(seen) = seen else {
            self.blind = self.blind.saturating_add(1);
            return;
        };
        self.blind = 0;
        self.running.retain(|name, _| seen.get(name) == Some(&Run::Running));
        for (name, _) in seen.iter().filter(|(_, run)| **run == Run::Running) {
            self.running.entry(name.clone()).or_insert(now);
        }
    }

    /// What is told of an app now, after what was told `before`. One that ends and is started again and again stays ill until it has run for a
    /// while, so that not each of its starts is a record that all neighbours take; one that nobody can look at is as it was, for a few looks.
    fn told(&self, name: &str, before: Option<ServiceHealth>, run: Option<Run>, now: Instant) -> ServiceHealth {
        let Some(run) = run else {
            return before.filter(|_| self.blind < BLIND_LOOKS).unwrap_or(ServiceHealth::Stopped);
        };
        let steady = || self.running.get(name).is_some_and(|since| now.saturating_duration_since(*since) >= STEADY);
        match (before, health(run)) {
            (Some(ServiceHealth::Ill), ServiceHealth::Starting) => ServiceHealth::Ill,
            (Some(ServiceHealth::Ill), ServiceHealth::Well) if !steady() => ServiceHealth::Ill,
            (_, now) => now,
        }
    }
}

impl Apps {
    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes an app, or no more.
    ///
    /// # Errors
    /// See [`NotPublished`]; nothing was changed.
    pub async fn publish(
        self: &Arc<Self>,
        registry: &Registry,
        name: &str,
        wanted: Option<Publication>,
        expected: Expected,
    ) -> Result<(), NotPublished> {
        let app = self.kept().apps.get(name).cloned().ok_or_else(|| Refused::NotInstalled(name.to_owned()))?;
        let facts = self.face(name, &app.what)?;
        if let Some(wanted) = &wanted {
            let draft = draft(&facts, &app.choices.ports, wanted).map_err(NotPublished::Draft)?;
            draft.service(name).map_err(NotPublished::Draft)?;
            let ours = { self.kept().told.contains(name) };
            if !ours && registry.published(name).await?.is_some() {
                return Err(NotPublished::Taken(name.to_owned()));
            }
        }
        let of = name.to_owned();
        let change = move |kept: &mut Kept| kept.publish(&of, wanted, &expected);
        self.in_background(|apps| apps.alter(change)).await.unwrap_or_else(|ending| Err(Refused::NotKept(ending.to_string())))?;
        self.tell(registry).await;
        Ok(())
    }

    /// Holds what is published to what runs, for ever. `registry` is there while the node belongs to a microcloud.
    pub async fn keep_telling(self: Arc<Self>, registry: impl Fn() -> Option<Registry>) {
        loop {
            let any = {
                let kept = self.kept();
                !kept.told.is_empty() || kept.apps.values().any(Installed::is_published)
            };
            if any && let Some(registry) = registry() {
                self.tell(&registry).await;
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(PUBLISHED_EVERY) => {}
            }
        }
    }

    /// Publishes what shall be published, with how it is; withdraws what was published here and shall not be.
    async fn tell(self: &Arc<Self>, registry: &Registry) {
        let seen = self.look().await.ok();
        let seen: Option<BTreeMap<String, Run>> = seen.map(|seen| seen.iter().map(|(name, state)| (name.clone(), state.run)).collect());
        let now = Instant::now();
        self.watched().note(seen.as_ref(), now);
        let (apps, told) = {
            let kept = self.kept();
            (kept.apps.clone(), kept.told.clone())
        };
        let mut wanted = BTreeMap::new();
        for (name, app) in apps {
            let Some(publication) = app.publication() else { continue };
            let Ok(facts) = self.face(&name, &app.what) else { continue };
            if let Ok(service) = draft(&facts, &app.choices.ports, &publication).and_then(|draft| draft.service(&name)) {
                wanted.insert(name, service);
            }
        }
        for (name, service) in &wanted {
            // Noted first: what is published is withdrawn even if the agent is killed in between.
            self.note(name, true).await;
            let before = registry.published(name).await.ok().flatten();
            let run = seen.as_ref().map(|seen| seen.get(name).copied().unwrap_or_default());
            let health = self.watched().told(name, before.as_ref().map(|before| before.health), run, now);
            let service = Service { health, ..service.clone() };
            if before.as_ref() != Some(&service)
                && let Err(error) = registry.publish(name, &service, false).await
            {
                log::warn!("the app `{name}` could not be published: {error}");
            }
        }
        for name in told.iter().filter(|name| !wanted.contains_key(*name)) {
            match registry.withdraw(name).await {
                Ok(_) => self.note(name, false).await,
                Err(error) => log::warn!("the app `{name}` could not be withdrawn: {error}"),
            }
        }
    }

    async fn note(self: &Arc<Self>, name: &str, told: bool) {
        if self.kept().told.contains(name) == told {
            return;
        }
        let of = name.to_owned();
        let change = move |kept: &mut Kept| {
            if told {
                kept.told.insert(of)
            } else {
                kept.told.remove(&of)
            };
            Ok(())
        };
        if let Ok(Err(error)) = self.in_background(|apps| apps.alter(change)).await {
            log::error!("what is published of `{name}` can't be recorded: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_says_of_category_and_address_counts_and_is_held_to_the_limits() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../images/apps/mosquitto/app.toml");
        let app = contract::apps::read(std::path::Path::new(file), &std::fs::read_to_string(file).unwrap()).unwrap();
        let (app, ports) = (Face::of(&app, String::new()), [("mqtt".to_owned(), 1884)].into());
        let service = |wanted: Publication| draft(&app, &ports, &wanted).and_then(|draft| draft.service("broker"));
        let plain = service(Publication::default()).unwrap();
        assert_eq!((plain.category.as_str(), plain.port, plain.url), ("messages", Some(1884), None));
        let url = |url: &str| Publication { url: Some(url.to_owned()), ..Publication::default() };
        let other = service(Publication { category: Some("barri".to_owned()), ..url("https://mqtt.example.org/") }).unwrap();
        assert_eq!((other.category.as_str(), other.port, other.scheme), ("barri", None, None));
        assert_eq!(other.url.as_deref(), Some("https://mqtt.example.org/"));
        for (wanted, words) in [
            (url("mqtt.example.org"), "is no address: write it whole"),
            (url("javascript:alert(1)"), "is no address"),
            (url("file:///etc/passwd"), "nothing that may be published"),
            (Publication { port: Some("mqtt".to_owned()), ..url("https://a/") }, "and not at both"),
            (Publication { category: Some("x".repeat(41)), ..Publication::default() }, "41 bytes, where 40 are allowed"),
        ] {
            let error = service(wanted).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn only_what_runs_and_is_well_is_said_to_be_well() {
        let said = |run| health(run);
        assert_eq!([Run::Absent, Run::Stopped].map(said), [ServiceHealth::Stopped; 2]);
        assert_eq!([Run::Failing, Run::Ill].map(said), [ServiceHealth::Ill; 2]);
        assert_eq!([Run::Starting, Run::Running].map(said), [ServiceHealth::Starting, ServiceHealth::Well]);
    }

    #[test]
    fn what_ends_and_starts_again_and_again_is_told_once() {
        let (mut watched, begun) = (Watched::default(), Instant::now());
        let mut told = vec![];
        let mut look = |watched: &mut Watched, run, at| {
            let now = begun + Duration::from_secs(at);
            watched.note(Some(&[("wiki".to_owned(), run)].into()), now);
            told.push(watched.told("wiki", told.last().copied(), Some(run), now));
        };
        // Without a health check what starts is well at once; with one it starts.
        for at in 0..20 {
            let run = [Run::Running, Run::Failing, Run::Starting, Run::Failing][at as usize % 4];
            look(&mut watched, run, at * 10);
        }
        for at in 20..30 {
            look(&mut watched, Run::Running, at * 10);
        }
        look(&mut watched, Run::Stopped, 300);
        look(&mut watched, Run::Running, 310);
        let of_running: Vec<ServiceHealth> = told[20..30].to_vec();
        assert_eq!(of_running.iter().filter(|health| **health == ServiceHealth::Ill).count(), 6, "a minute");
        told.dedup();
        let [well, ill, stopped] = [ServiceHealth::Well, ServiceHealth::Ill, ServiceHealth::Stopped];
        assert_eq!(told, [well, ill, well, stopped, well]);
    }

    #[test]
    fn what_nobody_can_look_at_is_as_it_was_for_a_few_looks() {
        let (mut watched, now) = (Watched::default(), Instant::now());
        for look in 1..=BLIND_LOOKS + 1 {
            watched.note(None, now);
            let told = watched.told("wiki", Some(ServiceHealth::Well), None, now);
            assert_eq!(told == ServiceHealth::Well, look < BLIND_LOOKS, "{look}");
        }
        watched.note(Some(&BTreeMap::new()), now);
        assert_eq!(watched.told("wiki", Some(ServiceHealth::Well), Some(Run::Absent), now), ServiceHealth::Stopped);
        watched.note(None, now);
        assert_eq!(watched.told("wiki", Some(ServiceHealth::Well), None, now), ServiceHealth::Well);
        assert_eq!(watched.told("wiki", None, None, now), ServiceHealth::Stopped, "of what was never told nothing is believed");
    }
}
