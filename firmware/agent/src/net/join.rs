//! Joining: what is wanted, whom to ask, what came of it.

use super::{
    JoinFailure, JoinProblem, JoinState,
    event::{Admission, Attempt, Says, Target},
    greet,
};
use cluster::{
    Certificate, NodeId, Refusal, Seed, Token,
    hello::{Reply, Request},
    text::TextError,
    wire::Name,
};
use iroh::Endpoint;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// The first pause between attempts; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Failures shown.
const MAX_FAILURES: usize = 16;
/// Nodes asked in one attempt.
const MAX_TARGETS: usize = 8;

/// What is wanted.
#[derive(Debug, Clone)]
pub enum Goal {
    /// Join the token's community.
    Token(Box<Token>),
    /// Join a community on the local network whose door is open.
    Lan,
}

/// Joining under way.
#[derive(Debug)]
pub struct Joining {
    goal: Option<Goal>,
    what: String,
    attempts: u32,
    pause: Duration,
    next: Instant,
    running: bool,
    /// There was a reason to try at once while a try was running.
    hurried: bool,
    failures: Vec<JoinFailure>,
}

impl Joining {
    /// Wants `goal`, from now on.
    pub fn new(goal: Goal) -> Self {
        let what = match &goal {
            Goal::Token(token) => format!("the community `{}` by token", token.community().name()),
            Goal::Lan => "a community on this local network whose door is open".to_owned(),
        };
        Self {
            goal: Some(goal),
            what,
            attempts: 0,
            pause: FIRST_PAUSE,
            next: Instant::now(),
            running: false,
            hurried: false,
            failures: Vec::new(),
        }
    }

    /// Can't be done until a person mends it.
    pub fn hopeless(what: &str, failure: JoinFailure) -> Self {
        Self {
            goal: None,
            what: what.to_owned(),
            attempts: 0,
            pause: LONGEST_PAUSE,
            next: Instant::now(),
            running: false,
            hurried: false,
            failures: vec![failure],
        }
    }

    /// Whether somebody seen on the local network may be a reason to try at once.
    pub fn fits(&self, says: &Says) -> bool {
        match &self.goal {
            Some(Goal::Token(token)) => says.is_of(&token.community().id()),
            Some(Goal::Lan) => says.community.is_some(),
            None => false,
        }
    }

    /// Try again at once, or as soon as the try that is running has failed.
    pub fn hurry(&mut self) {
        self.next = Instant::now();
        self.hurried = self.running;
    }

    /// When the next attempt is due; none while one runs or none makes sense.
    pub fn due(&self) -> Option<Instant> {
        (self.goal.is_some() && !self.running).then_some(self.next)
    }

    /// Starts an attempt if one is due: the goal and whom to ask.
    pub fn begin(&mut self, seen: &BTreeMap<NodeId, (Vec<SocketAddr>, Says)>) -> Option<(Goal, Vec<Target>)> {
        if self.due()? > Instant::now() {
            return None;
        }
        let goal = self.goal.clone()?;
        self.running = true;
        self.attempts += 1;
        let targets = targets(&goal, seen);
        Some((goal, targets))
    }

    /// Takes what an attempt came to.
    pub fn failed(&mut self, failures: Vec<JoinFailure>) {
        self.running = false;
        if std::mem::take(&mut self.hurried) {
            self.next = Instant::now();
            self.pause = FIRST_PAUSE;
        } else {
            self.next = Instant::now() + self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        for failure in failures {
            log::info!(reason:? = failure.reason, target_ = failure.target, seen = failure.seen; "joining: a try failed");
            self.failures.retain(|old| (old.reason, &old.target) != (failure.reason, &failure.target));
            self.failures.insert(0, failure);
        }
        self.failures.truncate(MAX_FAILURES);
    }

    /// What is shown.
    pub fn view(&self) -> JoinState {
        JoinState {
            what: self.what.clone(),
            attempts: self.attempts,
            next_attempt_seconds: self.next.saturating_duration_since(Instant::now()).as_secs(),
            retrying: self.goal.is_some(),
            failures: self.failures.clone(),
        }
    }
}

/// Whom to ask: the token's seeds, with the addresses seen on the local network too, then others seen there.
fn targets(goal: &Goal, seen: &BTreeMap<NodeId, (Vec<SocketAddr>, Says)>) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    let fitting: Vec<(&NodeId, &Vec<SocketAddr>)> = match goal {
        Goal::Token(token) => {
            targets.extend(token.seeds().iter().map(|seed| Target { node: seed.node, addresses: seed.addresses.clone() }));
            let id = token.community().id();
            seen.iter().filter(|(_, (_, says))| says.is_of(&id)).map(|(node, (addresses, _))| (node, addresses)).collect()
        }
        Goal::Lan => {
            let mut members: Vec<_> = seen.iter().filter(|(_, (_, says))| says.community.is_some()).collect();
            members.sort_by_key(|(_, (_, says))| !says.door_open);
            members.into_iter().map(|(node, (addresses, _))| (node, addresses)).collect()
        }
    };
    for (node, addresses) in fitting {
        match targets.iter_mut().find(|target| target.node == *node) {
            Some(target) => target.addresses.extend(addresses),
            None => targets.push(Target { node: *node, addresses: addresses.clone() }),
        }
    }
    targets.truncate(MAX_TARGETS);
    targets
}

/// Asks all targets at once; the first that lets this node in wins.
pub async fn attempt(endpoint: Endpoint, me: NodeId, name: Name, goal: Goal, targets: Vec<Target>, lan_problem: Option<String>) -> Attempt {
    if targets.is_empty() {
        return Attempt { admission: None, failures: vec![nobody(&goal, lan_problem)] };
    }
    let mut asks = tokio::task::JoinSet::new();
    for target in targets {
        let (endpoint, name, goal) = (endpoint.clone(), name.clone(), goal.clone());
        asks.spawn(async move {
            let token = match goal {
                Goal::Token(token) => *token,
                Goal::Lan => knock(&endpoint, &target, name).await?,
            };
            show(&endpoint, &target, &token, me).await
        });
    }
    let mut failures = Vec::new();
    while let Some(done) = asks.join_next().await {
        match done {
            Ok(Ok(admission)) => {
                return Attempt { admission: Some(Box::new(admission)), failures };
            }
            Ok(Err(failure)) => failures.push(failure),
            Err(error) => log::warn!(error:% = error; "a try to join ended early"),
        }
    }
    Attempt { admission: None, failures }
}

fn nobody(goal: &Goal, lan_problem: Option<String>) -> JoinFailure {
    if let Some(problem) = lan_problem {
        return JoinFailure {
            reason: JoinProblem::NoMulticast,
            target: "the local network".to_owned(),
            seen: problem,
            mend: "check this node's network: cable or Wi-Fi, address, gateway".to_owned(),
        };
    }
    let (seen, mend) = match goal {
        Goal::Token(_) => (
            "the token names no address, and no member of its community was seen on this network",
            "connect this node to the network of a member, or ask for a token made by a running member (`cloudy invite`)",
        ),
        Goal::Lan => ("no community was seen on this network", "connect this node to the network of a member, or use a token"),
    };
    JoinFailure { reason: JoinProblem::NoAddress, target: "the local network".to_owned(), seen: seen.to_owned(), mend: mend.to_owned() }
}

/// Asks for an invite at an open door.
async fn knock(endpoint: &Endpoint, target: &Target, name: Name) -> Result<Token, JoinFailure> {
    match greet::ask(endpoint, target, &Request::Knock { name }).await? {
        Reply::Invited { token } => Token::from_bytes(&token).map_err(|refusal| invalid(target, &refusal)),
        Reply::Refused { reason, words } => Err(greet::refused(target, reason, &words)),
        Reply::Admitted { .. } | Reply::Asked { .. } | Reply::Waiting { .. } | Reply::Others { .. } => Err(greet::failure(
            JoinProblem::ProtocolVersion,
            target,
            "it answered something else than it was asked".to_owned(),
            "do not trust that node",
        )),
    }
}

/// Shows the certificate that the token gives, and checks who it is that lets this node in.
async fn show(endpoint: &Endpoint, target: &Target, token: &Token, me: NodeId) -> Result<Admission, JoinFailure> {
    let own = token.redeem(me);
    match greet::ask(endpoint, target, &Request::Join { certificate: own.to_bytes() }).await? {
        Reply::Admitted { certificate, seeds } => {
            let member = Certificate::from_bytes(&certificate).map_err(|refusal| invalid(target, &refusal))?;
            member.verify(token.community()).map_err(|refusal| invalid(target, &refusal))?;
            if member.node() != target.node {
                return Err(invalid(target, &Refusal::OtherNode(member.node())));
            }
            let mut seeds = seeds;
            seeds.truncate(cluster::admission::MAX_SEEDS);
            seeds.push(Seed { node: target.node, addresses: target.addresses.clone() });
            Ok(Admission { founding: token.community().clone(), own, member, seeds })
        }
        Reply::Refused { reason, words } => Err(greet::refused(target, reason, &words)),
        Reply::Invited { .. } | Reply::Asked { .. } | Reply::Waiting { .. } | Reply::Others { .. } => Err(greet::failure(
            JoinProblem::ProtocolVersion,
            target,
            "it answered something else than it was asked".to_owned(),
            "update both nodes to the same version",
        )),
    }
}

/// What the node at the other end showed does not verify: it is no member of that community.
fn invalid(target: &Target, refusal: &Refusal) -> JoinFailure {
    greet::failure(
        JoinProblem::BadSignature,
        target,
        format!("what it showed of itself does not verify: {refusal}"),
        "that node is no member of this community: ask somebody else for a token",
    )
}

/// Why a token's text can't be used, for the doctor.
pub fn token_failure(refusal: &Refusal) -> JoinFailure {
    let ask = "ask an admin of the community for a new token";
    let (reason, mend) = match refusal {
        Refusal::Text(TextError::Checksum) => (JoinProblem::ChecksumWrong, "copy the token again, whole"),
        Refusal::Text(_) => (JoinProblem::NotAToken, "a token starts with `cloudy1-invite-`: copy it again, whole"),
        Refusal::Wire(cluster::wire::WireError::Version(_)) => {
            (JoinProblem::ProtocolVersion, "update this node: the token was made by a newer one")
        }
        Refusal::Wire(_) => (JoinProblem::NotAToken, ask),
        Refusal::Expired { .. } => (JoinProblem::Expired, ask),
        Refusal::Used { .. } => (JoinProblem::Used, ask),
        Refusal::Foreign(_) => (JoinProblem::Foreign, ask),
        _ => (JoinProblem::BadSignature, ask),
    };
    JoinFailure { reason, target: "the token".to_owned(), seen: refusal.to_string(), mend: mend.to_owned() }
}

/// Reads a token's text and looks at its time.
///
/// # Errors
/// Why it can't be used.
pub fn read_token(text: &str, clock: &cluster::Clock) -> Result<Token, JoinFailure> {
    let token = Token::parse(text).map_err(|refusal| token_failure(&refusal))?;
    token.invite().in_time(clock).map_err(|refusal| token_failure(&refusal))?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_to_hurry_outlives_the_try_that_is_running() {
        let mut joining = Joining::new(Goal::Lan);
        let none = BTreeMap::new();
        assert!(joining.begin(&none).is_some());
        let begun = joining.next;
        joining.failed(Vec::new());
        assert!(joining.next > begun && joining.pause > FIRST_PAUSE);
        joining.hurry();
        assert!(joining.begin(&none).is_some(), "at once");
        joining.hurry();
        joining.failed(Vec::new());
        assert_eq!(joining.pause, FIRST_PAUSE);
        assert!(joining.begin(&none).is_some(), "somebody came up while the try was running");
        joining.failed(Vec::new());
        assert!(joining.pause > FIRST_PAUSE, "that counted once");
    }
}
