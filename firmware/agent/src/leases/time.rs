//! The time of leases: what is asked of lenders and answered to holders, and the stop of what has none left, which waits for nothing else.

use super::plan::must_stop;
use super::record::Lent;
use super::{Leases, Stands, holding};
use crate::limits::{LEASE_ASK_TIMEOUT, LEASE_LOOK_EVERY};
use crate::net::{Command, LeaseQuestion};
use cluster::leases::{Answer, LeaseId, MAX_QUESTION_BYTES, Question};
use cluster::{Millis, NodeId, wire};
use futures_util::future::join_all;
use std::collections::BTreeSet;
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
            let Ok(question) = wire::decode::<Question>(&frame, MAX_QUESTION_BYTES) else { continue };
            let _gone = reply.send(wire::encode(&self.grant(&from, &question.id)));
        }
    }

    fn grant(&self, from: &NodeId, id: &LeaseId) -> Answer {
        let (id, now) = (id.to_string(), self.now());
        let kept = self.kept();
        let theirs = kept.given.get(&id).is_some_and(|given| given.offer.holder == *from && given.may_be_granted());
        let granted = theirs && self.clocks().lending.get_mut(&id).is_some_and(|lending| lending.grant(now));
        if granted { Answer::Granted } else { Answer::Over }
    }

    /// Stops exclusive apps whose time is over, for ever. It waits for nothing else that is done with leases or apps.
    pub async fn keep_time(self: Arc<Self>) {
        loop {
            let timed = self.timed();
            let now = self.now();
            let ahead = |ends: &Option<Millis>| ends.filter(|ends| *ends > now);
            let next = timed.iter().filter_map(|(.., ends)| ahead(ends)).map(|ends| ends.since(now)).min();
            let late: Vec<_> = timed.iter().filter(|(.., ends)| ahead(ends).is_none()).collect();
            let up = if late.is_empty() { BTreeSet::new() } else { self.apps.up_now().await.unwrap_or_default() };
            // At once: what takes its time to stop keeps no other running.
            join_all(late.into_iter().filter(|(_, name, _)| up.contains(name)).map(|(id, name, _)| self.stop_late(id, name))).await;
            let wait = next.unwrap_or(LEASE_LOOK_EVERY).min(LEASE_LOOK_EVERY);
            tokio::select! {
                () = self.timed.notified() => {}
                () = tokio::time::sleep(wait), if !timed.is_empty() => {}
            }
        }
    }

    async fn stop_late(self: &Arc<Self>, id: &str, name: &str) {
        log::info!("`{name}` stops: its lender has not said that its time goes on");
        let halted = self.apps.halt(name);
        let noted = self.note(id, |held| held.paused = true);
        let (halted, noted) = tokio::join!(halted, noted);
        if let Err(error) = halted {
            log::error!("`{name}` could not be stopped, though its time is over: {error}");
        }
        if let Err(error) = noted {
            log::error!("that `{name}` stands still can't be recorded: {error}");
        }
    }

    /// Exclusive apps that this node runs for others, each with the moment when it is to be stopped; none where that is now.
    fn timed(&self) -> Vec<(String, String, Option<Millis>)> {
        let (now, kept, clocks) = (self.now(), self.kept(), self.clocks());
        let strict = kept.held.iter().filter(|(_, held)| must_stop(held.stands, held.terms().exclusive, held.begun, false));
        let ends = |id: &str| clocks.holding.get(id).filter(|holding| holding.may_run(now, clocks.lead(id)))?.ends(clocks.lead(id));
        strict.map(|(id, held)| (id.clone(), held.about.app.name.clone(), ends(id))).collect()
    }

    /// Each lease that this node holds has its clock.
    pub(super) fn wind_clocks(&self) {
        let (now, kept) = (self.now(), self.kept());
        let mut clocks = self.clocks();
        for (id, held) in kept.held.iter().filter(|(_, held)| held.holds()) {
            clocks.holding.entry(id.clone()).or_insert_with(|| holding(now, held.terms()));
        }
        let over = |id: &String| kept.given.get(id).is_some_and(|given| given.stands == Lent::Over);
        clocks.lending.retain(|id, _| !over(id));
    }

    /// Asks lenders whether apps may go on, where that is due. Nobody waits for the answers.
    pub(super) fn ask_for_time(self: &Arc<Self>) {
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
                let ask = Command::AskLender { node: lender, frame: wire::encode(&Question { id: lease }), reply };
                if commands.send(ask).await.is_err() {
                    return;
                }
                let Ok(Ok(frame)) = timeout(LEASE_ASK_TIMEOUT, answer).await else { return };
                match wire::decode(&frame, MAX_QUESTION_BYTES) {
                    Ok(Answer::Granted) => {
                        leases.clocks().holding.get_mut(&id).into_iter().for_each(|holding| holding.granted(number));
                        leases.bar();
                        leases.wake.notify_one();
                        leases.timed.notify_one();
                    }
                    Ok(Answer::Over) => leases.end_given(&id, "its lender says that it is over".to_owned()).await,
                    Err(_) => {}
                }
            });
        }
    }
}
