//! What comes of an event in a world: what the agent's driver does with datagrams, streams and dials.

use crate::world::{DIAL_TIMEOUT, Event, World, id_of};
use cluster::{
    health,
    hello::{Reply, Request},
    records,
    roster::{Item, Roster, Standing},
    sync,
};
use std::time::Duration;

/// Between two nodes introducing themselves to the same member, as in the agent's driver.
const INTRODUCE_PAUSE: Duration = Duration::from_secs(20);

impl World {
    fn admits(&self, node: usize, other: usize) -> bool {
        self.nodes[node].as_ref().is_some_and(|life| life.node.roster().standing(&id_of(self.seeds[other])) == Standing::Member)
    }

    /// As the driver does when the other side closes the connection since it does not know this node.
    fn introduce(&mut self, from: usize, to: usize) {
        let last = self.introduced.get(&(from, to));
        if last.is_some_and(|last| self.now.since(*last) < INTRODUCE_PAUSE) {
            return;
        }
        self.introduced.insert((from, to), self.now);
        let me = id_of(self.seeds[from]);
        let own = self.nodes[from].as_ref().unwrap().node.roster().certificate(&me).unwrap();
        let request = Request::Join { certificate: own.to_bytes() };
        if let Reply::Admitted { certificate, .. } = self.hello(me, to, &request) {
            let theirs = cluster::Certificate::from_bytes(&certificate).unwrap();
            let now = self.now;
            let other = id_of(self.seeds[to]);
            let node = &mut self.life(from).node;
            node.take(now, vec![Item::Certificate(theirs)]);
            node.ask(now, other);
            node.compare(now, other);
            self.perform(from);
        }
    }

    pub fn happen(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Datagram { from, to, bytes } => {
                // Whoever sent it may be gone by now.
                if !self.net.passes(from, to) || self.nodes[to].is_none() {
                } else if !self.admits(to, from) {
                    if self.reach(from, to) {
                        self.introduce(from, to);
                    }
                } else {
                    let sender = id_of(self.seeds[from]);
                    let life = self.nodes[to].as_mut().unwrap();
                    if bytes.first() == Some(&records::summary::DATAGRAM) {
                        life.records.datagram(now, sender, &bytes);
                    } else if health::is_datagram(&bytes) {
                        if let Some(health) = &mut life.health {
                            health.datagram(now, sender, &bytes);
                        }
                    } else {
                        life.node.datagram(now, sender, &bytes);
                    }
                    self.perform(to);
                }
            }
            Event::Compare { from, to } => {
                if !self.reach(from, to) || !self.admits(from, to) {
                } else if !self.admits(to, from) {
                    self.introduce(from, to);
                } else {
                    self.compare(from, to);
                }
            }
            Event::Confirm { from, to, in_time } => {
                let reached = in_time && self.reach(from, to) && self.admits(to, from);
                let to = id_of(self.seeds[to]);
                if let Some(life) = self.nodes[from].as_mut() {
                    life.node.confirmed(now, to, reached);
                    self.perform(from);
                }
            }
            Event::Silent { at, of } => {
                let linked = self.net.linked(at).any(|peer| peer == of);
                let of = id_of(self.seeds[of]);
                if let Some(life) = self.nodes[at].as_mut().filter(|_| !linked) {
                    life.node.fell_silent(now, of);
                    self.perform(at);
                }
            }
            Event::Ask { from, life, to, id, frame } => {
                let reached = self.reach(from, to) && self.admits(to, from);
                let mut answer = None;
                if reached {
                    let asker = id_of(self.seeds[from]);
                    let honest = self.nodes[to].as_mut().unwrap().records.answer(now, asker, &frame);
                    self.perform(to);
                    answer = match self.hostile.get_mut(&to) {
                        Some(twist) => {
                            self.net.faults.count("hostile answer");
                            twist(&mut self.rng, asker, honest)
                        }
                        None => Some(honest),
                    };
                }
                let bytes = answer.as_ref().map_or(0, Vec::len);
                let after = answer.as_ref().and_then(|_| self.net.stream(now, &mut self.rng, to, from, bytes));
                let frame = answer.filter(|_| after.is_some());
                self.schedule(after.unwrap_or(DIAL_TIMEOUT), Event::Answer { to: from, life, id, frame });
            }
            Event::Answer { to, life, id, frame } => {
                if let Some(asker) = self.nodes[to].as_mut().filter(|asker| asker.number == life) {
                    asker.records.answered(now, id, frame.as_deref());
                    self.perform(to);
                }
            }
        }
    }

    fn roster(&self, index: usize) -> &Roster {
        self.nodes[index].as_ref().unwrap().node.roster()
    }

    fn compare(&mut self, from: usize, to: usize) {
        let now = self.now;
        let open: sync::Open = sync::read(&sync::frame(&sync::open(self.roster(from)))).unwrap();
        let answer = sync::read(&sync::frame(&sync::answer(self.roster(to), &open))).unwrap();
        self.net.stream(now, &mut self.rng, from, to, 40);
        let sync::Answer::Marks(marks) = answer else { return };
        let give = sync::frame(&sync::give(self.roster(from), &marks));
        self.net.stream(now, &mut self.rng, to, from, 16 * marks.len());
        self.net.stream(now, &mut self.rng, from, to, give.len());
        let give: sync::Give = sync::read(&give).unwrap();
        self.life(to).node.take(now, give.items);
        let items = sync::frame(&sync::items(self.roster(to), &give.want));
        self.net.stream(now, &mut self.rng, to, from, items.len());
        let items: sync::Items = sync::read(&items).unwrap();
        self.life(from).node.take(now, items.0);
        self.perform(to);
        self.perform(from);
    }
}
