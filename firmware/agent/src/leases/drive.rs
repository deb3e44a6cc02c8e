//! Drives leases: takes what came, does what `plan` decides, tells the other side.

use super::about::About;
use super::plan::{Act, Seen, Still};
use super::policy::Verdict;
use super::record::{Heard, Held, Kept, Lent};
use super::time::lead;
use super::{Leases, Refused, Stands, next};
use crate::apps::Wish;
use crate::apps::{NOT_NOW, Refused as AppRefused};
use crate::blobs::{Refused as BlobRefused, Taking};
use crate::host;
use crate::limits::{LEASE_LOOK_EVERY, LEASE_MESSAGE_LIFE, LEASE_REST, LEASE_TRY_AGAIN, LEASE_TURN_PAUSE};
use crate::net::{NotSent, Registry, Standing, kind};
use crate::revision::Expected;
use crate::units::Action;
use cluster::NodeId;
use cluster::leases::{Lending, Said};
use cluster::messages::{MessageId, Outcome, SendError};
use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

impl Leases {
    /// Goes on with all leases, for ever.
    pub async fn keep_going(self: Arc<Self>) {
        loop {
            let registry = self.registry();
            let mut messages = registry.as_ref().map(Registry::messages);
            let mut jobs = self.apps.watch_jobs();
            // Whoever comes into a community may have mail there.
            let mut communities = self.net.as_ref().map(|net| net.registry.clone());
            communities.iter_mut().for_each(watch::Receiver::mark_unchanged);
            self.turn(registry.as_ref()).await;
            // Whoever makes news all the time makes no more turns than this.
            tokio::time::sleep(LEASE_TURN_PAUSE).await;
            let (busy, idle) = {
                let kept = self.kept();
                let busy = kept.held.values().any(Held::holds);
                (busy, !busy && kept.tell.is_empty() && kept.given.values().all(|given| given.stands == Lent::Over))
            };
            let came = async {
                match &mut messages {
                    Some(messages) => drop(messages.changed().await),
                    None => std::future::pending().await,
                }
            };
            let moved = async {
                match &mut communities {
                    Some(communities) => drop(communities.changed().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = came => {}
                () = moved => {}
                _ = jobs.changed(), if busy => {}
                () = tokio::time::sleep(if idle { LEASE_REST } else { LEASE_LOOK_EVERY }) => {}
            }
        }
    }

    async fn turn(self: &Arc<Self>, registry: Option<&Registry>) {
        self.wind_clocks();
        if let Some(registry) = registry
            && let Err(error) = self.take_mail(registry).await
        {
            log::warn!("what came about leases can't be taken now: {error}");
        }
        if let Some(registry) = registry {
            self.look_at_outcomes(registry).await;
        }
        self.part_with_strangers().await;
        self.free().await;
        self.wind_clocks();
        self.ask_for_time();
        self.bar();
        let held: Vec<(String, Held)> = {
            let kept = self.kept();
            kept.held.iter().filter(|(_, held)| held.holds()).map(|(id, held)| (id.clone(), held.clone())).collect()
        };
        let asks = |(_, held): &(String, Held)| held.begun && (held.terms().exclusive || held.stands == Stands::Ending);
        let up = if held.iter().any(asks) { self.apps.up_now().await } else { None };
        for (id, held) in held {
            if let Err(error) = self.act(registry, &id, held, up.as_ref()).await {
                log::warn!("the lease {id} does not go on now: {error}");
            }
        }
        if let Some(registry) = registry {
            self.tell(registry).await;
        }
    }

    /// What other nodes said: written down as one change, judged, then taken away.
    async fn take_mail(self: &Arc<Self>, registry: &Registry) -> Result<(), NotSent> {
        let mail = registry.mail().await?;
        let Some((me, community)) = self.place() else { return Ok(()) };
        if mail.is_empty() {
            return Ok(());
        }
        let done: Vec<(NodeId, u64)> = mail.iter().map(|mail| (mail.from, mail.number)).collect();
        let now = host::now_secs();
        let heard = self.altered(move |kept| {
            // What can't be read says nothing to this version.
            let said = mail.into_iter().filter(|mail| mail.kind == kind::LEASES);
            let said = said.filter_map(|mail| Some((mail.from, Said::from_bytes(&mail.body).ok()?)));
            said.map(|(from, said)| kept.hear(&from, said, &me, &community, now)).collect::<Vec<Heard>>()
        });
        let heard = match heard.await {
            Ok(heard) => heard,
            // It waits until it can be written down.
            Err(error) => {
                log::error!("what other nodes said about leases can't be kept: {error}");
                return Ok(());
            }
        };
        for heard in heard {
            match heard {
                Heard::New(id) => self.judge(registry, &id).await,
                Heard::GivenBack(id) => {
                    self.clocks().lending.get_mut(&id).into_iter().for_each(Lending::given_back);
                    self.bar();
                }
                Heard::Nothing | Heard::Changed => {}
            }
        }
        registry.mail_done(done).await
    }

    /// What the owner's policy says to a new offer.
    async fn judge(self: &Arc<Self>, registry: &Registry, id: &str) {
        let Some(held) = self.kept().held.get(id).cloned() else { return };
        let from = held.from();
        let policy = self.kept().policy.clone();
        let decided = match policy.judge(&self.asked(&held.about, &from, id)) {
            Verdict::Ask => return,
            Verdict::Refuse(why) => self.decide(id, Err(why)).await,
            Verdict::Accept => match registry.sign_lease(held.offer).await {
                Ok(lease) => self.decide(id, Ok((lease, false))).await,
                Err(error) => Err(error.into()),
            },
        };
        if let Err(error) = decided {
            log::error!("the offer {id} waits for an owner: {error}");
        }
    }

    /// Offers that came to nothing on their way.
    async fn look_at_outcomes(self: &Arc<Self>, registry: &Registry) {
        let waiting: Vec<(String, MessageId)> = {
            let kept = self.kept();
            let offered = kept.given.iter().filter(|(_, given)| given.stands == Lent::Offered);
            offered.filter_map(|(id, given)| Some((id.clone(), MessageId::from_str(given.message.as_deref()?).ok()?))).collect()
        };
        for (id, message) in waiting {
            let why = match registry.standing(message).await {
                Ok(Standing::Settled(Outcome::Refused(refusal))) => refusal.why,
                Ok(Standing::Settled(Outcome::Unknown)) => "nobody knows whether the offer came there".to_owned(),
                _ => continue,
            };
            let why = if why.is_empty() { "the node was not reached in time".to_owned() } else { why };
            self.end_given(&id, why).await;
        }
    }

    pub(super) async fn end_given(self: &Arc<Self>, id: &str, why: String) {
        if let Some(lending) = self.clocks().lending.get_mut(id) {
            lending.end();
        }
        let of = id.to_owned();
        if let Err(error) = self.altered(move |kept| kept.end(&of, &why)).await {
            log::error!("that the lease {id} ends can't be recorded: {error}");
        }
    }

    /// Whoever was taken out of the community neither lends nor holds, and who left it has no lease any more.
    async fn part_with_strangers(self: &Arc<Self>) {
        let Some(view) = self.view_of_net() else { return };
        let members: BTreeSet<String> = view.members.iter().map(|member| member.id.clone()).collect();
        let strange: Vec<String> = {
            let kept = self.kept();
            let held = kept
                .held
                .iter()
                .filter(|(_, held)| !matches!(held.stands, Stands::Ending | Stands::Over) && !members.contains(&held.from()));
            let given = kept.given.iter().filter(|(_, given)| given.may_be_granted() && !members.contains(&given.to()));
            held.map(|(id, _)| id.clone()).chain(given.map(|(id, _)| id.clone())).collect()
        };
        for id in strange {
            self.end_given(&id, "the other node is no member of the community any more".to_owned()).await;
        }
    }

    /// Leases that end are over once nobody runs the app for certain.
    async fn free(self: &Arc<Self>) {
        let ending: Vec<String> = {
            let (kept, clocks) = (self.kept(), self.clocks());
            let now = self.now();
            let is_free = |id: &str| clocks.lending.get(id).is_none_or(|lending| lending.is_free(now));
            kept.given.iter().filter(|(id, given)| given.stands == Lent::Ending && is_free(id)).map(|(id, _)| id.clone()).collect()
        };
        if ending.is_empty() {
            return;
        }
        let over = move |kept: &mut Kept| {
            ending.iter().filter_map(|id| kept.given.get_mut(id).map(super::record::Given::over)).count();
        };
        if let Err(error) = self.altered(over).await {
            log::error!("that leases are over can't be recorded: {error}");
        }
    }

    fn seen(&self, id: &str, held: &Held, up: Option<bool>) -> Seen {
        let About { app, hash, .. } = &held.about;
        let hosted = self.apps.hosted(&app.name, held.job);
        let here = self.blobs.one(hash).ok().and_then(|blob| blob.here);
        let clocks = self.clocks();
        let lead = if held.terms().exclusive { clocks.lead(id) } else { Duration::ZERO };
        let may_run = clocks.holding.get(id).is_some_and(|holding| holding.may_run(self.now(), lead));
        Seen {
            may_run,
            in_catalog: hosted.catalog.as_ref() == Some(&app.index),
            fetched: held.fetched,
            coming: here.as_ref().is_some_and(|here| matches!(here.taking, Taking::Wanted { .. })),
            not_coming: here.and_then(|here| if let Taking::Refused { why } = here.taking { Some(why) } else { None }),
            begun: held.begun,
            installed: hosted.installed,
            busy: hosted.busy,
            too_late: hosted.failed.as_ref().is_some_and(|why| why.contains(NOT_NOW)),
            failed: hosted.failed,
            up,
            paused: held.paused,
            by_hand: hosted.stopped,
        }
    }

    /// Whether something may be tried of a lease: what failed is not tried again without a pause.
    fn may_try(&self, id: &str) -> bool {
        let now = self.now();
        let mut clocks = self.clocks();
        let rested = clocks.tried.get(id).is_none_or(|last| now.since(*last) >= LEASE_TRY_AGAIN);
        if rested {
            clocks.tried.insert(id.to_owned(), now);
        }
        rested
    }

    async fn act(
        self: &Arc<Self>,
        registry: Option<&Registry>,
        id: &str,
        held: Held,
        up: Option<&BTreeSet<String>>,
    ) -> Result<(), Refused> {
        let name = held.about.app.name.clone();
        if !self.clocks().leads.contains_key(id) {
            let of = name.clone();
            let stop = self.apps.in_background(move |apps| apps.stop_time(&of)).await.map_err(super::ending)?;
            self.clocks().leads.extend(stop.map(|stop| (id.to_owned(), lead(stop))));
        }
        let mut seen = self.seen(id, &held, up.map(|up| up.contains(&name)));
        if held.stands == Stands::Runs && held.terms().exclusive && !seen.busy {
            let before = Still { paused: held.paused, stopped: held.stopped };
            let now = before.seen(seen.up, seen.may_run, seen.by_hand);
            seen.paused = now.paused;
            if now != before {
                self.note(id, move |held| (held.paused, held.stopped) = (now.paused, now.stopped)).await?;
            }
        }
        match next(held.stands, held.terms().exclusive, &seen) {
            Act::Wait => {}
            Act::Fetch => {
                match self.blobs.fetch_this_app(registry, &held.about.hash, &held.about.app, held.about.size_bytes, held.replaces).await {
                    Ok(_) if held.fetched => {}
                    Ok(_) => self.note(id, |held| held.fetched = true).await?,
                    // Its lender tells all nodes of it, which may come later than the offer.
                    Err(BlobRefused::Unknown(_)) => {}
                    Err(error) => self.end_given(id, error.to_string()).await,
                }
            }
            Act::Again => self.note(id, |held| (held.begun, held.job) = (false, None)).await?,
            Act::Install => {
                self.note(id, |held| held.begun = true).await?;
                let wish = Wish { settings: held.about.settings.clone(), ..Wish::default() };
                let attended = held.terms().exclusive;
                let begun = self.apps.in_background(move |apps| apps.install_as(&name, wish, attended)).await.map_err(super::ending)?;
                match begun {
                    Ok(job) => self.note(id, move |held| held.job = Some(job.id)).await?,
                    // What is here is not this lease's.
                    Err(error) => {
                        self.note(id, |held| held.begun = false).await?;
                        if !matches!(error, AppRefused::Barred { .. }) {
                            self.end_given(id, error.to_string()).await;
                        }
                    }
                }
            }
            Act::Runs => {
                let (of, to, lease) = (id.to_owned(), held.from(), held.offer.id);
                self.altered(move |kept| {
                    if let Some(held) = kept.held.get_mut(&of).filter(|held| held.stands == Stands::Agreed) {
                        held.stands = Stands::Runs;
                        kept.say(&to, Said::Runs { id: lease });
                    }
                })
                .await?;
            }
            Act::Start | Act::Remove | Act::Sweep if !self.may_try(id) => {}
            Act::Start => {
                // From here on what stands still was stopped by its owner, or has failed.
                self.note(id, |held| held.paused = false).await?;
                self.apps.in_background(move |apps| apps.act(&name, Action::Start)).await.map_err(super::ending)??;
            }
            Act::End(why) => {
                if !seen.installed && !seen.busy && seen.up != Some(true) {
                    // What is installed under that name later is not this lease's.
                    self.note(id, |held| held.begun = false).await?;
                }
                self.end_given(id, why).await;
            }
            Act::Sweep => self.apps.sweep(&name).await?,
            Act::Remove => {
                self.apps.in_background(move |apps| apps.remove(&name, false, &Expected::anything())).await.map_err(super::ending)??;
            }
            Act::Over => {
                let (of, to, lease) = (id.to_owned(), held.from(), held.offer.id);
                self.altered(move |kept| {
                    let Some(held) = kept.held.get_mut(&of).filter(|held| held.stands == Stands::Ending) else { return };
                    let why = held.why.clone();
                    held.over(&why);
                    kept.say(&to, Said::Ended { id: lease, why });
                })
                .await?;
                self.blobs.want_no_more(&held.about.hash).await;
                let mut clocks = self.clocks();
                clocks.holding.remove(id);
                clocks.leads.remove(id);
                clocks.tried.remove(id);
            }
        }
        Ok(())
    }

    pub(super) async fn note(self: &Arc<Self>, id: &str, note: impl FnOnce(&mut Held) + Send + 'static) -> Result<(), Refused> {
        let of = id.to_owned();
        self.altered(move |kept| {
            if let Some(held) = kept.held.get_mut(&of) {
                note(held)
            }
        })
        .await
    }

    /// Hands over what is to be told: to each node in its order, and nobody waits for what another does not take. It is taken off the list
    /// once it lies with the messages.
    async fn tell(self: &Arc<Self>, registry: &Registry) {
        let members: BTreeSet<String> =
            self.view_of_net().map(|view| view.members.into_iter().map(|member| member.id).collect()).unwrap_or_default();
        let (mut waits, mut done) = (BTreeSet::new(), Vec::new());
        let all = self.kept().tell.clone();
        for tell in all {
            let Some(to) = NodeId::of_hex(&tell.to).filter(|_| !waits.contains(&tell.to)) else { continue };
            match registry.send(to, kind::LEASES, tell.said.to_bytes(), LEASE_MESSAGE_LIFE).await {
                Ok(message) => done.push((tell, Some(message.to_string()))),
                // Nobody is there any more who could be told; who is suspended may come back.
                Err(NotSent::Send(SendError::Stranger(_))) if !members.contains(&tell.to) => done.push((tell, None)),
                Err(NotSent::Send(SendError::Body { .. })) => done.push((tell, None)),
                Err(error) => {
                    log::debug!(node = to.short(), error:% = error; "what is to be said about a lease waits");
                    waits.insert(tell.to);
                }
            }
        }
        if done.is_empty() {
            return;
        }
        let taken_off = self.altered(move |kept| {
            for (tell, message) in done {
                if let (Said::Offer(offer), Some(message)) = (&tell.said, message)
                    && let Some(given) = kept.given.get_mut(&offer.id.to_string())
                {
                    given.message = Some(message);
                }
                if let Some(place) = kept.tell.iter().position(|other| *other == tell) {
                    kept.tell.remove(place);
                }
            }
        });
        if let Err(error) = taken_off.await {
            log::error!("that something was said about leases can't be recorded, so it is said again: {error}");
        }
    }
}
