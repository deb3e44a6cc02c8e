//! Published apps: each a service of the registry that says how the app is, so that who looks for it finds it and learns that it is stopped.

use super::record::Kept;
use super::{Apps, Face, Publication, Refused};
use crate::broker::Run;
use crate::limits::PUBLISHED_EVERY;
use crate::net::{Draft, Registry, Service, ServiceHealth};
use crate::revision::Expected;
use std::collections::BTreeMap;
use std::sync::Arc;

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
    Ok(Draft {
        title: Some(wanted.title.clone().unwrap_or_else(|| app.title.en.clone())),
        description: wanted.description.clone().unwrap_or_else(|| app.description.en.clone()),
        category: app.category.word().to_owned(),
        port: Some(*number),
        scheme: Some(port.scheme().to_owned()),
        languages: wanted.languages.clone(),
        ..Draft::default()
    })
}

/// What is told of how an app is.
fn health(run: Run) -> ServiceHealth {
    match run {
        Run::Absent | Run::Stopped => ServiceHealth::Stopped,
        Run::Failing | Run::Ill => ServiceHealth::Ill,
        Run::Starting => ServiceHealth::Starting,
        Run::Running => ServiceHealth::Well,
    }
}

impl Apps {
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
                !kept.told.is_empty() || kept.apps.values().any(|app| app.publication.is_some())
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

    /// Publishes what shall be published, with how it is; withdraws what was published here and shall not be. Where Docker can't be asked, nobody
    /// can say that it runs.
    async fn tell(self: &Arc<Self>, registry: &Registry) {
        let seen = self.look().await.unwrap_or_default();
        let (apps, told) = {
            let kept = self.kept();
            (kept.apps.clone(), kept.told.clone())
        };
        let mut wanted = BTreeMap::new();
        for (name, app) in apps {
            let run = seen.get(&name).map(|state| state.run).unwrap_or_default();
            let Some(publication) = app.publication else { continue };
            let Ok(facts) = self.face(&name, &app.what) else { continue };
            if let Ok(service) = draft(&facts, &app.choices.ports, &publication).and_then(|draft| draft.service(&name)) {
                wanted.insert(name, Service { health: health(run), ..service });
            }
        }
        for (name, service) in &wanted {
            // Noted first: what is published is withdrawn even if the agent is killed in between.
            self.note(name, true).await;
            let same = registry.published(name).await.is_ok_and(|now| now.as_ref() == Some(service));
            if !same && let Err(error) = registry.publish(name, service, false).await {
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
    fn only_what_runs_and_is_well_is_said_to_be_well() {
        let said = |run| health(run);
        assert_eq!([Run::Absent, Run::Stopped].map(said), [ServiceHealth::Stopped; 2]);
        assert_eq!([Run::Failing, Run::Ill].map(said), [ServiceHealth::Ill; 2]);
        assert_eq!([Run::Starting, Run::Running].map(said), [ServiceHealth::Starting, ServiceHealth::Well]);
    }
}
