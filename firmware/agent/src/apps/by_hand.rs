//! What was made on this node with Docker by hand: what is shown of it, how a container becomes an app, and what is taken away.
//!
//! ```text
//! look (broker: taken) ▸ room for a copy ▸ saved as an own app ▸ an owner allows what it asks ▸ job: hold ▸ move in ▸ up ▸ the old one stays, stopped
//! ```
//! Architecture invariant: a container that becomes an app is there until an owner removes it, with all that it kept, whatever becomes of
//! the job; and one of two who ask for the same is refused.

use super::catalog;
use super::own::NotSaved;
use super::plan::Kind;
use super::record::{Adopting, Aim, Kept, Own, What};
use super::{Apps, DOCKER_UNIT, JobView, Refused};
use crate::broker::{self, ByHand, NotTaken, Request, Room, Taken, Thing, shown};
use crate::revision::Expected;
use contract::apps::compose::Choices;
use contract::apps::own;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a container is adopted: `POST /api/v1/by-hand/containers/ID`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AdoptWish {
    /// What the app is called on this node.
    pub name: String,
    /// What people call it; the container's name without.
    #[serde(default)]
    pub title: Option<String>,
    /// The port's name → the node's port; as the container has them where it is not said.
    #[serde(default)]
    pub ports: BTreeMap<String, u16>,
}

/// What a container that was made by hand would be as an app. No value of its environment stands in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HandView {
    /// Docker's number for it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What the app might be called.
    pub proposed: String,
    /// The image.
    pub image: String,
    /// Whether it runs.
    pub up: bool,
    /// The program and its command, where they are other than the image's.
    pub command: Vec<String>,
    /// Names of variables that the image does not bring.
    pub environment: Vec<String>,
    /// Ports of the node and of the container.
    pub ports: Vec<String>,
    /// What is copied, and folders of the node.
    pub volumes: Vec<String>,
    /// What it asks of the node, which an owner must allow.
    pub asks: Vec<String>,
    /// What will be otherwise than it was.
    pub differs: Vec<String>,
    /// What can't be taken over: then it is not adopted.
    pub not: Vec<NotTaken>,
    /// The app that it became.
    pub adopted: Option<String>,
}

/// Words of a command, variables, ports and volumes that are shown at most.
const PARTS: usize = 50;

/// A name that an app may have, like that of a container.
fn proposed(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().map(plain).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    name.get(..name.len().min(33)).unwrap_or_default().trim_end_matches('-').to_owned()
}

/// The app that is installed in place of a container.
fn became(kept: &Kept, container: &str) -> Option<String> {
    kept.adopted.get(container).filter(|app| kept.apps.contains_key(*app)).cloned()
}

/// Refuses what does not fit a second time; where nobody knows, the job tries, and puts all back if it does not.
fn fits(taken: &Taken, room: Option<Room>) -> Result<(), Refused> {
    let Some(Room { needed, free }) = room else { return Ok(()) };
    catalog::fits(needed, free).map_err(|room| Refused::NoRoom { container: taken.name.clone(), room: Box::new(room) })
}

impl HandView {
    fn of(taken: &Taken, adopted: Option<String>) -> Self {
        use super::typed::{show_port, show_volume};
        let form = &taken.form;
        let asked = own::read(&taken.definition(None)).map(|project| project.asked).unwrap_or_default();
        Self {
            id: taken.id.clone(),
            proposed: proposed(&taken.name),
            name: taken.name.clone(),
            image: form.image.clone(),
            up: taken.was.up,
            command: form.entrypoint.iter().chain(&form.command).take(PARTS).map(|word| shown(word)).collect(),
            environment: form.environment.keys().take(PARTS).map(|name| shown(name)).collect(),
            ports: form.ports.iter().take(PARTS).map(show_port).collect(),
            volumes: form.volumes.iter().take(PARTS).map(|volume| shown(&show_volume(volume))).collect(),
            asks: asked.iter().map(|asked| asked.privilege.to_string()).collect(),
            differs: taken.differs.clone(),
            not: taken.not.clone(),
            adopted,
        }
    }
}

impl Apps {
    /// Asks the broker; a stopped Docker is not asked, since that would start it.
    async fn ask_by_hand<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Refused> {
        if self.systemd.is_stopped(DOCKER_UNIT).await {
            return Err(Refused::Docker(format!("Docker does not run: `cloudy unit start {DOCKER_UNIT}` starts it")));
        }
        broker::ask(&self.broker, request, |_| ()).await.map_err(|error| match error {
            broker::Error::Failed(failure) => Refused::ByHand(failure.error),
            other => Refused::Docker(other.to_string()),
        })
    }

    /// What was made by hand.
    ///
    /// # Errors
    /// Docker can't be asked.
    pub async fn by_hand(&self) -> Result<ByHand, Refused> {
        let mut all: ByHand = self.ask_by_hand(&Request::ByHand {}).await?;
        let kept = self.kept();
        for container in &mut all.containers {
            container.adopted = became(&kept, &container.id);
        }
        drop(kept);
        Ok(all)
    }

    /// What one of its containers would be as an app: by its number or name.
    ///
    /// # Errors
    /// It is not there, or Docker can't be asked.
    pub async fn look_by_hand(&self, container: &str) -> Result<HandView, Refused> {
        let taken = self.taken(container).await?;
        let adopted = became(&self.kept(), &taken.id);
        let mut view = HandView::of(&taken, adopted);
        // Under the name by which it was saved already.
        if let Some((name, _)) = self.own.all().into_iter().find(|(_, saved)| saved.by_hand.as_deref() == Some(&view.id)) {
            view.proposed = name;
        }
        Ok(view)
    }

    async fn taken(&self, container: &str) -> Result<Taken, Refused> {
        let found: Option<Taken> = self.ask_by_hand(&Request::LookByHand { container: container.to_owned() }).await?;
        found.ok_or_else(|| Refused::NoContainer(container.escape_default().take(100).collect()))
    }

    /// Makes an app of a container: saved as an own app first, then, if an owner has allowed all that it asks, by a job.
    ///
    /// # Errors
    /// See [`Refused`]; of the container nothing was touched.
    pub async fn adopt(self: &Arc<Self>, container: &str, wish: AdoptWish) -> Result<JobView, Refused> {
        let _one = self.by_hand.lock().await;
        let taken = self.taken(container).await?;
        if !taken.not.is_empty() {
            return Err(Refused::NotTaken { container: taken.name, not: taken.not });
        }
        if !taken.carried.is_empty() {
            let room = self.ask_by_hand(&Request::RoomByHand { container: taken.id.clone() }).await?;
            fits(&taken, room)?;
        }
        let begun = self.in_background(move |apps| apps.begin_adopting(&taken, wish)).await;
        begun.map_err(|error| Refused::NotKept(error.to_string()))?
    }

    fn begin_adopting(self: &Arc<Self>, taken: &Taken, wish: AdoptWish) -> Result<JobView, Refused> {
        let AdoptWish { name, title, mut ports } = wish;
        {
            let kept = self.kept();
            if let Some(app) = became(&kept, &taken.id) {
                return Err(Refused::Adopted { container: taken.name.clone(), app });
            }
            if let Some(busy) = kept.adopting(&taken.id) {
                return Err(Refused::Busy { id: busy.id, app: busy.app.clone() });
            }
            if kept.apps.contains_key(&name) {
                return Err(Refused::Installed(name));
            }
        }
        if self.catalog.get(&name).is_some() {
            return Err(NotSaved::Taken(name).into());
        }
        let saved = self.own.save_by_hand(&name, taken.definition(title.as_deref()), &taken.id)?;
        let what = What::Own(Box::new(Own { saved, again: false }));
        // As the container has them, or not at all: who uses it finds it where it was.
        let face = self.face(&name, &what)?;
        for (port, its) in &face.ports {
            ports.entry(port.clone()).or_insert(its.proposed);
        }
        let its = taken.form.ports.iter().map(|port| port.proposed.unwrap_or(port.container));
        let freed: Vec<u16> = if taken.was.up { its.collect() } else { Vec::new() };
        let target = self.target_after(&name, what, Choices { ports, ..Choices::default() }, &freed)?;
        // Where an earlier job could not put it back, it is not now as it was.
        let was = self.kept().left(&taken.id).unwrap_or_else(|| taken.was.clone());
        let adopting = Adopting { container: taken.id.clone(), was };
        self.begin(&name, Kind::Adopt, &Expected::anything(), |installed| match installed {
            Some(_) => Err(Refused::Installed(name.clone())),
            None => Ok(Aim { target: Some(target), adopting: Some(adopting), ..Aim::default() }),
        })
    }

    /// Takes away something that was made by hand and that nothing uses; of containers, those alone whose place an app has taken.
    ///
    /// # Errors
    /// See [`Refused`]; it is still there.
    pub async fn clear_by_hand(self: &Arc<Self>, thing: Thing) -> Result<(), Refused> {
        let _one = self.by_hand.lock().await;
        if let Thing::Container(id) = &thing {
            let kept = self.kept();
            if let Some(busy) = kept.adopting(id) {
                return Err(Refused::Busy { id: busy.id, app: busy.app.clone() });
            }
            // An app that was removed since has nobody's place: then the old one may be all that there is.
            let Some(app) = became(&kept, id) else {
                return Err(Refused::NotAdopted(id.escape_default().take(64).collect()));
            };
            if let Some(busy) = kept.busy(&app) {
                return Err(Refused::Busy { id: busy.id, app });
            }
        }
        let () = self.ask_by_hand(&Request::ClearByHand { thing: thing.clone() }).await?;
        let Thing::Container(id) = thing else { return Ok(()) };
        let forget = move |apps: &Arc<Self>| {
            apps.own.not_by_hand(&id)?;
            apps.alter(|kept: &mut Kept| {
                kept.adopted.remove(&id);
                Ok(())
            })
        };
        self.in_background(forget).await.map_err(|error| Refused::NotKept(error.to_string()))?
    }
}

#[cfg(test)]
#[path = "by_hand_tests.rs"]
mod tests;
