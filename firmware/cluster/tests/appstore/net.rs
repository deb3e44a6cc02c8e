//! A few members, each with a real replica over a store in memory, that tell each other what a test has them tell.

use crate::common::Memory;
use cluster::{
    CommunityId, Millis, NodeId,
    appstore::{App, AppError, AppStore, Change, ETag, Output, Value, Wish},
    records::{self, Phase, Replica, summary::Datagram},
};
use std::{collections::BTreeSet, time::Duration};

pub const COMMUNITY: CommunityId = CommunityId([4; 32]);

pub fn seed(index: usize) -> [u8; 32] {
    [index as u8 + 1; 32]
}

pub fn id(index: usize) -> NodeId {
    NodeId::of_seed(&seed(index))
}

pub fn app() -> App {
    App::try_from("notes").unwrap()
}

pub struct Member {
    pub replica: Replica<Memory>,
    pub apps: AppStore,
}

pub struct Net {
    pub now: Millis,
    pub members: Vec<Member>,
}

impl Net {
    pub fn new(count: usize) -> Self {
        let ids: BTreeSet<NodeId> = (0..count).map(id).collect();
        let member = |index| {
            let mut replica = Replica::open(Millis(0), Memory::default(), seed(index), COMMUNITY, None, index as u64).unwrap();
            replica.set_members(Millis(0), ids.clone(), [0; 32]);
            replica.set_peers(Millis(0), ids.clone(), ids.clone());
            // Nobody answers, so it opens its epoch by itself.
            replica.tick(Millis(60_000));
            assert_eq!(replica.phase(), Phase::Open);
            let apps = AppStore::open(Millis(60_000), &mut replica, COMMUNITY).unwrap();
            Member { replica, apps }
        };
        let mut net = Self { now: Millis(60_000), members: (0..count).map(member).collect() };
        (0..count).for_each(|of| net.pump(of, None));
        net
    }

    pub fn pass(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    /// Does what a replica asks for, as far as `with` is whom it asks; datagrams are lost.
    pub fn pump(&mut self, of: usize, with: Option<usize>) {
        loop {
            let outputs: Vec<records::Output> = self.members[of].replica.outputs().collect();
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                match output {
                    records::Output::Datagram { .. } => {}
                    records::Output::Changed { node, slots } => {
                        let Member { replica, apps } = &mut self.members[of];
                        apps.changed(replica, node, &slots);
                    }
                    records::Output::Ask { to, id: question, frame } => {
                        let other = with.filter(|with| id(*with) == to);
                        let answer = other.map(|other| self.members[other].replica.answer(self.now, id(of), &frame));
                        if let Some(other) = other {
                            self.pump(other, Some(of));
                        }
                        self.members[of].replica.answered(self.now, question, answer.as_deref());
                    }
                }
            }
        }
    }

    /// One compares with another, and both have what either had.
    pub fn compare(&mut self, one: usize, other: usize) {
        let summary = Datagram::Summary { root: self.members[other].replica.root(), holders: Vec::new(), ask: false };
        self.members[one].replica.datagram(self.now, id(other), &summary.to_bytes());
        self.pass(2);
        self.members[one].replica.tick(self.now);
        self.pump(one, Some(other));
    }

    /// One hears from another of one node's head, and fetches what is of that node alone.
    pub fn tell(&mut self, one: usize, from: usize, of: usize) {
        let Some(head) = self.members[from].replica.view().head(&id(of)).cloned() else { return };
        self.members[one].replica.datagram(self.now, id(from), &Datagram::News(Box::new(head)).to_bytes());
        self.pump(one, Some(from));
    }

    pub fn meet(&mut self) {
        for _ in 0..3 {
            for one in 0..self.members.len() {
                for other in (0..self.members.len()).filter(|other| *other != one) {
                    self.compare(one, other);
                    self.compare(other, one);
                }
            }
        }
        let roots: BTreeSet<_> = self.members.iter().map(|member| member.replica.root()).collect();
        assert_eq!(roots.len(), 1, "the records themselves have not met");
    }

    pub fn try_write(&mut self, of: usize, app: &App, wishes: &[Wish]) -> Result<Vec<ETag>, AppError> {
        let Member { replica, apps } = &mut self.members[of];
        let done = apps.write(self.now, replica, app, wishes);
        self.pump(of, None);
        done
    }

    pub fn write(&mut self, of: usize, changes: &[(&str, Change)]) {
        let wish = |(key, change): &(&str, Change)| Wish { key: (*key).to_owned(), change: change.clone(), condition: None };
        self.try_write(of, &app(), &changes.iter().map(wish).collect::<Vec<_>>()).unwrap();
    }

    pub fn tidy(&mut self, of: usize) {
        self.pass(61);
        let Member { replica, apps } = &mut self.members[of];
        apps.tick(self.now, replica);
        self.pump(of, None);
    }

    pub fn read(&self, of: usize, key: &str) -> Value {
        self.members[of].apps.read(&self.members[of].replica, &app(), key).unwrap()
    }

    pub fn outputs(&mut self, of: usize) -> Vec<Output> {
        self.members[of].apps.outputs().collect()
    }
}

pub fn put(value: &[u8]) -> Change {
    Change::Put(value.to_vec())
}
