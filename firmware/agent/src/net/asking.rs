//! Four words: asking a node on the local network to be let in by them, and deciding about newcomers that ask here.

use super::{
    AskingEnd, AskingStep, AskingView, CommandResult, JoinFailure, NewcomerView, Unwilling,
    commands::member_already,
    event::{Event, Target},
    greet, ids,
    join::{Goal, Joining},
    state::State,
};
use crate::text::Code;
use cluster::{
    NodeId, Refusal, Token,
    hello::{Reason, Reply, Request},
    words::{Asking, End},
};
use std::time::{Duration, Instant};

/// Between two questions while people compare words, and before the same is tried again.
const PAUSE: Duration = Duration::from_secs(2);
/// How long saying that it was withdrawn may keep this agent from ending.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

const NOT_ASKING: &str = "this node asks nobody to be let in at present: `cloudy ask` shows who can be asked";

/// A question under way, or how it ended.
pub(super) struct Question {
    asking: Asking,
    target: Target,
    /// What the other node calls itself on the local network.
    name: String,
    /// Tells late answers to an earlier question from those to this one.
    number: u64,
    next: Instant,
    running: bool,
    /// What is in the way at present.
    trouble: Option<JoinFailure>,
}

impl Question {
    /// When something is to be said next.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.asking.open() && !self.running).then_some(self.next)
    }

    fn view(&self, now: cluster::Millis) -> AskingView {
        let (agreed, admitted) = self.asking.agreed();
        let step = match (self.asking.end(), self.asking.words()) {
            (Some(end), _) => AskingStep::Ended { why: ended(end) },
            (None, Some(words)) => AskingStep::Compare { words: words.to_string(), agreed, admitted },
            (None, None) => AskingStep::Waiting {},
        };
        AskingView {
            node: self.target.node.hex(),
            name: self.name.clone(),
            community: self.asking.community().map(|founding| founding.name().to_string()),
            left_seconds: self.asking.left(now).as_secs(),
            step,
            trouble: self.trouble.clone().filter(|_| self.asking.open()),
        }
    }
}

/// How it ended, as it is shown.
fn ended(end: &End) -> AskingEnd {
    match end {
        End::Denied => AskingEnd::Denied,
        End::Late => AskingEnd::Late,
        End::Forgotten => AskingEnd::Forgotten,
        End::Others(admins) => AskingEnd::Others { names: admins.iter().map(|(_, name)| name.to_string()).collect() },
        End::Nonsense => AskingEnd::Nonsense,
        End::Refused(Reason::REVOKED) => AskingEnd::Removed,
        End::Refused(Reason::NO_COMMUNITY) => AskingEnd::NoCommunity,
        End::Refused(_) => AskingEnd::Refused,
    }
}

impl State {
    /// Asks a node that is seen on the local network, by its id; or one as `ID@ADDRESS`, where that network passes on no word of mDNS.
    pub(super) fn ask(&mut self, whom: &str) -> CommandResult<AskingView> {
        if let Some(node) = &self.node {
            return Err(member_already(node));
        }
        let seen = self.seen.iter().find(|(node, (_, says))| node.hex() == whom && says.community.is_some());
        let (target, name) = match (seen, ids::placed(whom)) {
            (Some((node, (addresses, says))), _) => (Target { node: *node, addresses: addresses.clone() }, says.name.clone()),
            (None, Some((node, address))) => (Target { node, addresses: vec![address] }, None),
            (None, None) => {
                return Err(format!(
                    "no node of a microcloud with the id `{}` is seen on this network: `cloudy ask` lists those that are",
                    whom.escape_debug()
                )
                .into());
            }
        };
        self.stop_asking();
        self.questions += 1;
        let (now, me) = (self.now(), self.facts().name);
        self.asking = Some(Question {
            asking: Asking::new(now, self.me, target.node, me, &mut self.rng),
            name: name.map_or_else(|| target.node.short(), |name| name.to_string()),
            target,
            number: self.questions,
            next: Instant::now(),
            running: false,
            trouble: None,
        });
        self.asked().ok_or_else(|| NOT_ASKING.into())
    }

    /// The person here found the same words on the other node's page.
    pub(super) fn same_words(&mut self, words: &str) -> CommandResult<AskingView> {
        let question = self.asking.as_mut().ok_or(NOT_ASKING)?;
        question.asking.agree(words).map_err(|error| format!("{error}: look again at both pages"))?;
        question.next = Instant::now();
        self.asked().ok_or_else(|| NOT_ASKING.into())
    }

    /// Asks no more, and tells whoever was asked.
    pub(super) fn stop_asking(&mut self) {
        let Some(question) = self.asking.take().filter(|question| question.asking.open()) else { return };
        let endpoint = self.endpoint.clone();
        tokio::spawn(async move {
            // Whoever does not hear it forgets it by itself.
            let _unheard = greet::ask(&endpoint, &question.target, &Request::Withdraw).await;
        });
    }

    /// The same, before this agent ends.
    pub(super) async fn stop_asking_now(&mut self) {
        if let Some(question) = self.asking.take().filter(|question| question.asking.open()) {
            let said = greet::ask(&self.endpoint, &question.target, &Request::Withdraw);
            let _unheard = tokio::time::timeout(FAREWELL_TIMEOUT, said).await;
        }
    }

    /// Says what is due.
    pub(super) fn go_on_asking(&mut self) {
        let now = self.now();
        let Some(question) = self.asking.as_mut().filter(|question| question.due().is_some_and(|due| due <= Instant::now())) else {
            return;
        };
        let Some(request) = question.asking.request(now) else {
            self.news = true;
            return;
        };
        question.running = true;
        let (number, target) = (question.number, question.target.clone());
        let (endpoint, events) = (self.endpoint.clone(), self.events.clone());
        tokio::spawn(async move {
            let answer = greet::ask(&endpoint, &target, &request).await;
            let _ended = events.send(Event::Answered { number, answer }).await;
        });
    }

    /// Takes an answer; one to a question that is asked no more changes nothing.
    pub(super) fn answered(&mut self, number: u64, answer: Result<Reply, JoinFailure>) {
        let Some(question) = self.asking.as_mut().filter(|question| question.number == number) else { return };
        question.running = false;
        let removed = matches!(&answer, Ok(Reply::Refused { reason: Reason::REVOKED, .. }));
        // What comes next of itself comes at once.
        let pause = if matches!(answer, Ok(Reply::Asked { .. })) { Duration::ZERO } else { PAUSE };
        question.next = Instant::now() + pause;
        match answer {
            Ok(reply) => {
                question.trouble = match &reply {
                    Reply::Refused { reason: reason @ Reason::BUSY, words } => Some(greet::refused(&question.target, *reason, words)),
                    _ => None,
                };
                question.asking.answer(reply);
            }
            Err(failure) => question.trouble = Some(failure),
        }
        let invite = question.asking.invite().cloned();
        if removed {
            // So that leaving gives this node another identity.
            self.note_removed(true);
        }
        if let Some(token) = invite {
            self.invited(token);
        }
    }

    /// Both people agreed: from here on it is an invite as any.
    fn invited(&mut self, token: Token) {
        log::info!(community = token.community().name().as_str(); "two people found the same four words: joining");
        self.asking = None;
        self.joining = Some(Joining::new(Goal::Token(Box::new(token))));
    }

    /// What this node asks.
    pub(super) fn asked(&self) -> Option<AskingView> {
        self.asking.as_ref().map(|question| question.view(self.now()))
    }

    /// Who asks here.
    pub(super) fn newcomers(&self) -> Vec<NewcomerView> {
        let waiting = self.node.as_ref().map(|node| node.newcomers(self.now())).unwrap_or_default();
        let shown = waiting.into_iter().map(|newcomer| NewcomerView {
            node: newcomer.node.hex(),
            name: newcomer.name.to_string(),
            words: newcomer.words.to_string(),
            agreed: newcomer.agreed,
            admitted: newcomer.admitted,
            silent_seconds: newcomer.silent.as_secs(),
            left_seconds: newcomer.left.as_secs(),
        });
        shown.collect()
    }

    /// A person decides about a newcomer; what it calls itself.
    pub(super) fn decide_newcomer(&mut self, id: &str, words: &str, admit: bool) -> CommandResult<String> {
        let now = self.now();
        let over = || {
            Unwilling::from("no newcomer asks with these words: it asks anew, or its time is over. `cloudy newcomers` lists those that ask")
        };
        let own = self.node.as_mut().ok_or_else(over)?;
        let node = NodeId::of_hex(id).ok_or_else(over)?;
        let name = own.decide_newcomer(now, &node, words, admit).map_err(|refusal| match refusal {
            Refusal::NoAdmin => Unwilling::told("this node can let nobody in: do it on a node that can", Code::MayNotInvite),
            Refusal::Used { .. } => "it has its invite already: once it is a member, `cloudy revoke` removes it".into(),
            _ => over(),
        })?;
        log::info!(node = node.short(), name = name.as_str(), admit; "a person compared the four words");
        Ok(name.to_string())
    }
}
