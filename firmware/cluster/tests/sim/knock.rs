//! How nodes come into a world: hellos, and joining by an invite.

use crate::world::{FLOOR, World, id_of};
use cluster::{
    Clock, NodeId, Token,
    hello::{self, Reply, Request},
    roster::{Item, Roster},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

impl World {
    /// A stranger or member says hello to `via`.
    pub fn hello(&mut self, from: NodeId, via: usize, request: &Request) -> Reply {
        let (now, clock) = (self.now, Clock { floor: FLOOR, sure: self.clocks[via] });
        let mut rng = StdRng::seed_from_u64(self.rng.random());
        let bytes = hello::request_bytes(request);
        let reply = self.life(via).node.hello(now, &clock, (from, None), &bytes, &mut rng);
        self.perform(via);
        hello::read_reply(&reply).unwrap()
    }

    /// A new node joins through `via`.
    pub fn join(&mut self, via: usize, token: &Token) -> Result<usize, Reply> {
        let index = self.nodes.len();
        let own = token.redeem(id_of(index));
        match self.hello(id_of(index), via, &Request::Join { certificate: own.to_bytes() }) {
            Reply::Admitted { certificate, .. } => {
                let mut roster = Roster::new(token.community().clone());
                roster.merge(Item::Certificate(own)).unwrap();
                let theirs = cluster::Certificate::from_bytes(&certificate).unwrap();
                assert_eq!(theirs.node(), id_of(via));
                roster.merge(Item::Certificate(theirs)).unwrap();
                self.add(roster);
                let now = self.now;
                let node = &mut self.life(index).node;
                node.compare(now, id_of(via));
                node.ask(now, id_of(via));
                self.perform(index);
                Ok(index)
            }
            refused => Err(refused),
        }
    }
}
