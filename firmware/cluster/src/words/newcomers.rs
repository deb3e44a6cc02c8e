//! An admin's node: who asks to be let in by four words, and what a person decided.

use super::{FourWords, Nonce, TERM, commitment};
use crate::{
    clock::Millis,
    hello::Reason,
    keys::{CommunityId, NodeId},
    wire::Name,
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

/// Most newcomers at one time. They push nobody out who still asks: further ones are to come again.
pub const MAX_NEWCOMERS: usize = 8;
/// Most of them that come from one source.
pub const MAX_OF_SOURCE: usize = 2;
/// Who has not asked for longer gives its place to another, unless it was let in.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a newcomer may take to reveal its nonce.
const REVEAL_TERM: Duration = Duration::from_secs(30);
/// A question stands so long at least, also one that was withdrawn: nobody tries words by asking over and over.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a newcomer that was turned away is told so.
const DENIED_TERM: Duration = Duration::from_secs(60);

/// A newcomer as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newcomer {
    /// Its node id, as the transport proved it.
    pub node: NodeId,
    /// What it calls itself: a stranger's words.
    pub name: Name,
    /// The words.
    pub words: FourWords,
    /// Whether the person at its side found the same words.
    pub agreed: bool,
    /// Whether it was let in here.
    pub admitted: bool,
    /// How long it is since it asked last.
    pub silent: Duration,
    /// How long it may still ask.
    pub left: Duration,
}

/// What a newcomer is answered that asks what was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Not both people have agreed.
    Waiting {
        /// Whether the one here has.
        admitted: bool,
    },
    /// Both have: it may have an invite, this one if one was made already.
    Invite(Option<Vec<u8>>),
}

/// Where newcomers come from that may all be one: an address, or a network of which one may have all addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Members passed it on: from where is not known.
    Passed,
    Address(IpAddr),
    /// The first half of an IPv6 address that is reached from elsewhere: who has one has all 2⁶⁴.
    Network(u64),
}

impl Source {
    fn of(at: Option<IpAddr>) -> Self {
        let own = |v6: &Ipv6Addr| v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unique_local();
        match at.map(|at| at.to_canonical()) {
            None => Self::Passed,
            Some(IpAddr::V6(v6)) if !own(&v6) => Self::Network(u64::try_from(v6.to_bits() >> 64).unwrap_or_default()),
            Some(address) => Self::Address(address),
        }
    }
}

/// Those who ask.
#[derive(Debug, Default)]
pub struct Newcomers(BTreeMap<NodeId, Entry>);

#[derive(Debug)]
struct Entry {
    source: Source,
    name: Name,
    commitment: [u8; 32],
    nonce: Nonce,
    began: Millis,
    heard: Millis,
    until: Millis,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Committed,
    Revealed { words: FourWords, agreed: bool, admitted: bool, invite: Option<Vec<u8>> },
    Denied,
    Withdrawn,
}

impl Entry {
    /// Whether another may have its place: it was turned away, or is silent and nobody let it in.
    fn gives_way(&self, now: Millis) -> bool {
        match self.stage {
            Stage::Denied => self.began.plus(PAUSE) <= now,
            Stage::Revealed { admitted: false, .. } => self.heard.plus(SILENCE) < now,
            Stage::Committed | Stage::Revealed { .. } | Stage::Withdrawn => false,
        }
    }
}

impl Newcomers {
    /// A newcomer asks from `at`, where that is known, and commits itself to its nonce; `nonce` is what it is answered.
    ///
    /// # Errors
    /// It was turned away, or asks too often, or too many ask, of all or of those from there.
    pub fn ask(
        &mut self,
        now: Millis,
        (from, at): (NodeId, Option<IpAddr>),
        name: Name,
        commitment: [u8; 32],
        nonce: Nonce,
    ) -> Result<(), Reason> {
        self.forget_old(now);
        let source = Source::of(at);
        match self.0.get(&from) {
            Some(Entry { stage: Stage::Denied, .. }) => return Err(Reason::DENIED),
            Some(entry) if now < entry.began.plus(PAUSE) => return Err(Reason::BUSY),
            _ => {}
        }
        self.make_room(now, &from, |entry| entry.source == source, MAX_OF_SOURCE)?;
        self.make_room(now, &from, |_| true, MAX_NEWCOMERS)?;
        let until = now.plus(REVEAL_TERM);
        self.0.insert(from, Entry { source, name, commitment, nonce, began: now, heard: now, until, stage: Stage::Committed });
        Ok(())
    }

    /// Makes a place for `from` among `those` of which there may be so many: of who gives way, the one that was heard longest ago goes.
    fn make_room(&mut self, now: Millis, from: &NodeId, those: impl Fn(&Entry) -> bool, most: usize) -> Result<(), Reason> {
        let others = || self.0.iter().filter(|(node, entry)| *node != from && those(entry));
        if others().count() < most {
            return Ok(());
        }
        let way = others().filter(|(_, entry)| entry.gives_way(now)).min_by_key(|(_, entry)| entry.heard);
        let place = way.map(|(node, _)| *node).ok_or(Reason::BUSY)?;
        self.0.remove(&place);
        Ok(())
    }

    /// It reveals its nonce, and has words from then on. Said again, it is as it was.
    ///
    /// # Errors
    /// It does not ask, or it is not what it had committed itself to: then it asks no more.
    pub fn reveal(&mut self, now: Millis, community: &CommunityId, me: &NodeId, from: NodeId, nonce: &Nonce) -> Result<Answer, Reason> {
        let entry = self.asking(now, &from)?;
        if entry.commitment != commitment(&from, me, nonce) {
            (entry.stage, entry.until) = (Stage::Withdrawn, entry.began.plus(PAUSE));
            return Err(Reason::INVALID);
        }
        if matches!(entry.stage, Stage::Committed) {
            let words = FourWords::of(community, &from, me, nonce, &entry.nonce);
            entry.stage = Stage::Revealed { words, agreed: false, admitted: false, invite: None };
            entry.until = entry.began.plus(TERM);
        }
        Ok(Answer::Waiting { admitted: matches!(entry.stage, Stage::Revealed { admitted: true, .. }) })
    }

    /// It asks what was decided, and says whether the person at its side agreed.
    ///
    /// # Errors
    /// It does not ask, or was turned away.
    pub fn decided(&mut self, now: Millis, from: &NodeId, says: bool) -> Result<Answer, Reason> {
        match &mut self.asking(now, from)?.stage {
            Stage::Revealed { agreed, admitted, invite, .. } => {
                *agreed = says;
                let both = *agreed && *admitted;
                Ok(if both { Answer::Invite(invite.clone()) } else { Answer::Waiting { admitted: *admitted } })
            }
            _ => Err(Reason::NOT_ASKED),
        }
    }

    /// What it was given, so that it is given the same again.
    pub fn given(&mut self, from: &NodeId, token: Vec<u8>) {
        if let Some(Entry { stage: Stage::Revealed { invite, .. }, .. }) = self.0.get_mut(from) {
            *invite = Some(token);
        }
    }

    /// It asks no more.
    pub fn withdraw(&mut self, now: Millis, from: &NodeId) {
        if let Ok(entry) = self.asking(now, from) {
            (entry.stage, entry.until) = (Stage::Withdrawn, entry.began.plus(PAUSE));
        }
    }

    /// A person decides about the newcomer that has these words; what it calls itself.
    ///
    /// # Errors
    /// None asks by that key and these words: it has asked anew, or it is over. Or it has its invite already, and can't be turned away any more.
    pub fn decide(&mut self, now: Millis, node: &NodeId, said: &str, admit: bool) -> Result<Name, Reason> {
        let entry = self.asking(now, node)?;
        match &mut entry.stage {
            Stage::Revealed { invite: Some(_), .. } if !admit => Err(Reason::USED),
            Stage::Revealed { words, admitted, .. } if words.are(said) => {
                if admit {
                    *admitted = true;
                } else {
                    (entry.stage, entry.until) = (Stage::Denied, now.plus(DENIED_TERM));
                }
                Ok(entry.name.clone())
            }
            _ => Err(Reason::NOT_ASKED),
        }
    }

    /// It is in, or nobody here can let it in any more.
    pub fn forget(&mut self, node: &NodeId) {
        self.0.remove(node);
    }

    /// The same of all who are in.
    pub fn forget_those(&mut self, are_in: impl Fn(&NodeId) -> bool) {
        self.0.retain(|node, _| !are_in(node));
    }

    /// Those who wait for a person, those who asked first before others.
    pub fn waiting(&self, now: Millis) -> Vec<Newcomer> {
        let mut waiting: Vec<(Millis, Newcomer)> = self
            .0
            .iter()
            .filter(|(_, entry)| now < entry.until)
            .filter_map(|(node, entry)| {
                let Stage::Revealed { words, agreed, admitted, .. } = entry.stage else { return None };
                let (silent, left) = (now.since(entry.heard), entry.until.since(now));
                Some((entry.began, Newcomer { node: *node, name: entry.name.clone(), words, agreed, admitted, silent, left }))
            })
            .collect();
        waiting.sort_by_key(|(began, newcomer)| (*began, newcomer.node));
        waiting.into_iter().map(|(_, newcomer)| newcomer).collect()
    }

    fn asking(&mut self, now: Millis, node: &NodeId) -> Result<&mut Entry, Reason> {
        self.forget_old(now);
        let entry = self.0.get_mut(node).ok_or(Reason::NOT_ASKED)?;
        match entry.stage {
            Stage::Denied => Err(Reason::DENIED),
            Stage::Withdrawn => Err(Reason::NOT_ASKED),
            Stage::Committed | Stage::Revealed { .. } => {
                entry.heard = now;
                Ok(entry)
            }
        }
    }

    fn forget_old(&mut self, now: Millis) {
        self.0.retain(|_, entry| now < entry.until);
    }
}
