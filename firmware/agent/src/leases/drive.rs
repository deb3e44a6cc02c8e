//! Drives leases: takes what came, asks for time, does what `plan` decides, tells the other side.

use super::about::About;
use super::plan::{Act, Seen};
use super::policy::Verdict;
use super::record::{Heard, Held, Kept, Lent};
use super::{Leases, Refused, Stands, next, node};
use crate::apps::Wish;
use crate::blobs::{Refused as BlobRefused, Taking};
use crate::host;
use crate::limits::{LEASE_ASK_TIMEOUT, LEASE_LOOK_EVERY, LEASE_MESSAGE_LIFE};
use crate::net::{Command, LeaseQuestion, NotSent, Registry, Standing, kind};
use crate::revision::Expected;
use crate::units::Action;
use cluster::NodeId;
use cluster::leases::{Answer, LeaseId, MAX_REASON_BYTES, Question, Said};
use cluster::messages::{MessageId, Outcome, SendError};
use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// What an exclusive app is stopped ahead of its time, beside what it may take to stop.
const MARGIN: Duration = Duration::from_secs(15);

/// How long before its time is over an app is stopped.
pub fn lead(stop: Duration) -> Duration {
    stop + MARGIN
}

impl Leases {
    /// Answers members that ask whether what this node lent may go on.
    pub async fn answer(self: Arc<Self>, mut questions: mpsc::Receiver<LeaseQuestion>) {
        while let Some(LeaseQuestion { from, frame, reply }) = questions.recv().await {
            let Ok(question) = Question::from_bytes(&frame) else { continue };
            let _gone = reply.send(self.grant(&from, &question.id).to_bytes());
        }
    }

    fn grant(&self, from: &NodeId, id: &LeaseId) -> Answer {
        let (id, now) = (id.to_string(), self.now());
        let kept = self.kept();
        let theirs = kept.given.get(&id).is_some_and(|given| given.offer.holder == *from && given.may_be_granted());
        let granted = theirs && self.clocks().lending.get_mut(&id).is_some_and(|lending| lending.grant(now));
        if granted { Answer::Granted } else { Answer::Over }
    }

    /// Goes on with all leases, for ever.
    pub async fn keep_going(self: Arc<Self>) {
        loop {
            let registry = self.registry();
            let mut messages = registry.as_ref().map(Registry::messages);
            let mut jobs = self.apps.watch_jobs();
            jobs.mark_unchanged();
            self.turn(registry.as_ref()).await;
            let busy = self.kept().held.values().any(Held::holds) || !self.kept().given.is_empty() || !self.kept().tell.is_empty();
            let came = async {
                match &mut messages {
                    Some(messages) => drop(messages.changed().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = came => {}
                _ = jobs.changed(), if busy => {}
                () = tokio::time::sleep(LEASE_LOOK_EVERY) => {}
            }
        }
    }

    async fn turn(self: &Arc<Self>, registry: Option<&Registry>) {
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
        self.ask_for_time();
        self.bar();
        let held: Vec<(String, Held)> = self.kept().held.iter().map(|(id, held)| (id.clone(), held.clone())).collect();
        for (id, held) in held.into_iter().filter(|(_, held)| held.holds()) {
            if let Err(error) = self.act(registry, &id, held).await {
                log::warn!("the lease {id} does not go on now: {error}");
            }
        }
        if let Some(registry) = registry {
            self.tell(registry).await;
        }
    }

    /// What other nodes said: written down, judged, then taken away.
    async fn take_mail(self: &Arc<Self>, registry: &Registry) -> Result<(), NotSent> {
        let mail = registry.mail().await?;
        let Some((me, community)) = self.place() else { return Ok(()) };
        let mut done = Vec::new();
        for mail in mail.into_iter().filter(|mail| mail.kind == kind::LEASES) {
            let named = (mail.from, mail.id);
            // What can't be read says nothing to this version.
            if let Ok(said) = Said::from_bytes(&mail.body) {
                let now = host::now_secs();
                match self.altered(move |kept| kept.hear(&mail.from, said, &me, &community, now)).await {
                    Ok(Heard::New(id)) => self.judge(registry, &id).await,
                    Ok(Heard::GivenBack(id)) => {
                        self.clocks().lending.get_mut(&id).into_iter().for_each(cluster::leases::Lending::given_back);
                        self.bar();
                    }
                    Ok(Heard::Nothing | Heard::Changed) => {}
                    // It waits until it can be written down.
                    Err(error) => {
                        log::error!("what another node said about a lease can't be kept: {error}");
                        break;
                    }
                }
            }
            done.push(named);
        }
        if done.is_empty() { Ok(()) } else { registry.mail_done(done).await }
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
                Ok(lease) => self.decide(id, Ok(lease)).await,
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

    async fn end_given(self: &Arc<Self>, id: &str, why: String) {
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
        let (now, ending): (_, Vec<String>) = {
            let (kept, clocks) = (self.kept(), self.clocks());
            let now = self.now();
            let is_free = |id: &str| clocks.lending.get(id).is_none_or(|lending| lending.is_free(now));
            (now, kept.given.iter().filter(|(id, given)| given.stands == Lent::Ending && is_free(id)).map(|(id, _)| id.clone()).collect())
        };
        if ending.is_empty() {
            return;
        }
        log::info!(moment = now.0; "{} leases are over: nobody runs the apps any more", ending.len());
        let over = move |kept: &mut Kept| {
            ending.iter().filter_map(|id| kept.given.get_mut(id).map(|given| given.stands = Lent::Over)).count();
        };
        if let Err(error) = self.altered(over).await {
            log::error!("that leases are over can't be recorded: {error}");
        }
    }

    /// Asks lenders whether apps may go on, where that is due. Nobody waits for the answers.
    fn ask_for_time(self: &Arc<Self>) {
        let Some(net) = &self.net else { return };
        let held: Vec<(String, NodeId, LeaseId)> = {
            let kept = self.kept();
            let holds = kept.held.iter().filter(|(_, held)| matches!(held.stands, Stands::Agreed | Stands::Runs));
            holds.map(|(id, held)| (id.clone(), held.offer.lender, held.offer.id)).collect()
        };
        let now = self.now();
        for (id, lender, lease) in held {
            let Some(number) = self.clocks().holding.get_mut(&id).and_then(|holding| holding.ask(now)) else { continue };
            let (leases, commands) = (Arc::clone(self), net.commands.clone());
            tokio::spawn(async move {
                let (reply, answer) = oneshot::channel();
                let ask = Command::AskLender { node: lender, frame: Question { id: lease }.to_bytes(), reply };
                if commands.send(ask).await.is_err() {
                    return;
                }
                let Ok(Ok(frame)) = timeout(LEASE_ASK_TIMEOUT, answer).await else { return };
                match Answer::from_bytes(&frame) {
                    Ok(Answer::Granted) => {
                        leases.clocks().holding.get_mut(&id).into_iter().for_each(|holding| holding.granted(number));
                        leases.bar();
                        leases.wake.notify_one();
                    }
                    Ok(Answer::Over) => leases.end_given(&id, "its lender says that it is over".to_owned()).await,
                    Err(_) => {}
                }
            });
        }
    }

    fn seen(&self, id: &str, held: &Held, stop: Option<Duration>, up: Option<bool>) -> Seen {
        let About { app, hash, .. } = &held.about;
        let hosted = self.apps.hosted(&app.name, held.job);
        let here = self.blobs.one(hash).ok().and_then(|blob| blob.here);
        let lead = if held.terms().exclusive { lead(stop.unwrap_or_default()) } else { Duration::ZERO };
        let may_run = self.clocks().holding.get(id).is_some_and(|holding| holding.may_run(self.now(), lead));
        Seen {
            may_run,
            in_catalog: hosted.catalog.as_ref() == Some(&app.index),
            coming: here.as_ref().is_some_and(|here| here.taking == Taking::Wanted),
            not_coming: here.and_then(|here| if let Taking::Refused { why } = here.taking { Some(why) } else { None }),
            begun: held.begun,
            installed: hosted.installed,
            busy: hosted.busy,
            failed: hosted.failed,
            up,
            paused: held.paused,
        }
    }

    async fn act(self: &Arc<Self>, registry: Option<&Registry>, id: &str, mut held: Held) -> Result<(), Refused> {
        let name = held.about.app.name.clone();
        let of = name.clone();
        let stop = self.apps.in_background(move |apps| apps.stop_time(&of)).await.map_err(super::ending)?;
        let strict = held.terms().exclusive && held.stands == Stands::Runs;
        let up = if strict { self.apps.is_up(&name).await } else { None };
        let mut seen = self.seen(id, &held, stop, up);
        if strict && !seen.busy {
            // What stands still though it has time was stopped by its owner; what runs was not.
            let (paused, stopped) = match up {
                Some(true) => (false, false),
                Some(false) if seen.may_run && !held.paused => (false, true),
                _ => (held.paused, held.stopped),
            };
            if (paused, stopped) != (held.paused, held.stopped) {
                (held.paused, held.stopped, seen.paused) = (paused, stopped, paused);
                self.note(id, move |held| (held.paused, held.stopped) = (paused, stopped)).await?;
            }
        }
        match next(held.stands, held.terms().exclusive, &seen) {
            Act::Wait => {}
            Act::Fetch => match self.blobs.fetch_app(registry, &held.about.hash).await {
                // Its lender tells all nodes of it, which may come later than the offer.
                Ok(_) | Err(BlobRefused::Unknown(_)) => {}
                Err(error) => self.end_given(id, error.to_string()).await,
            },
            Act::Install => {
                self.note(id, |held| held.begun = true).await?;
                let wish = Wish { settings: held.about.settings.clone(), ..Wish::default() };
                let begun = self.apps.in_background(move |apps| apps.install(&name, wish)).await.map_err(super::ending)?;
                match begun {
                    Ok(job) => self.note(id, move |held| held.job = Some(job.id)).await?,
                    Err(error) => self.end_given(id, error.to_string()).await,
                }
            }
            Act::Runs => {
                let lease = held.offer.id;
                let runs = move |kept: &mut Kept, id: &str, to: &str| {
                    if let Some(held) = kept.held.get_mut(id).filter(|held| held.stands == Stands::Agreed) {
                        held.stands = Stands::Runs;
                        kept.say(to, Said::Runs { id: lease });
                    }
                };
                let (of, to) = (id.to_owned(), held.from());
                self.altered(move |kept| runs(kept, &of, &to)).await?;
            }
            Act::Stop => {
                log::info!("`{name}` stops: its lender has not said that its time goes on");
                self.note(id, |held| held.paused = true).await?;
                self.apps.in_background(move |apps| apps.act(&name, Action::Stop)).await.map_err(super::ending)??;
            }
            Act::Start => {
                self.apps.in_background(move |apps| apps.act(&name, Action::Start)).await.map_err(super::ending)??;
            }
            Act::End(why) => self.end_given(id, why).await,
            Act::Remove => {
                self.apps.in_background(move |apps| apps.remove(&name, false, &Expected::anything())).await.map_err(super::ending)??;
            }
            Act::Over => {
                let (of, to, lease) = (id.to_owned(), held.from(), held.offer.id);
                self.altered(move |kept| {
                    let Some(held) = kept.held.get_mut(&of).filter(|held| held.stands == Stands::Ending) else { return };
                    held.stands = Stands::Over;
                    let why = sentence(&held.why);
                    kept.say(&to, Said::Ended { id: lease, why });
                })
                .await?;
                self.clocks().holding.remove(id);
            }
        }
        Ok(())
    }

    async fn note(self: &Arc<Self>, id: &str, note: impl FnOnce(&mut Held) + Send + 'static) -> Result<(), Refused> {
        let of = id.to_owned();
        self.altered(move |kept| {
            if let Some(held) = kept.held.get_mut(&of) {
                note(held)
            }
        })
        .await
    }

    /// Hands over what is to be told, in its order. It is taken off the list once it lies with the messages.
    async fn tell(self: &Arc<Self>, registry: &Registry) {
        loop {
            let Some(first) = self.kept().tell.first().cloned() else { return };
            let sent = match node(&first.to) {
                Some(to) => registry.send(to, kind::LEASES, first.said.to_bytes(), LEASE_MESSAGE_LIFE).await,
                None => return,
            };
            let message = match sent {
                Ok(message) => Some(message.to_string()),
                // Nobody is there any more who could be told.
                Err(NotSent::Send(SendError::Stranger(_) | SendError::Body { .. })) => None,
                Err(error) => {
                    log::warn!("what is to be said about a lease waits: {error}");
                    return;
                }
            };
            let taken_off = self.altered(move |kept| {
                if let (Said::Offer(offer), Some(message)) = (&first.said, message)
                    && let Some(given) = kept.given.get_mut(&offer.id.to_string())
                {
                    given.message = Some(message);
                }
                if kept.tell.first() == Some(&first) {
                    kept.tell.remove(0);
                }
            });
            if let Err(error) = taken_off.await {
                log::error!("that something was said about a lease can't be recorded, so it is said again: {error}");
                return;
            }
        }
    }
}

/// A reason as it may be said to the other side.
fn sentence(why: &str) -> String {
    let mut said: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    while said.len() > MAX_REASON_BYTES {
        said.pop();
    }
    said
}
