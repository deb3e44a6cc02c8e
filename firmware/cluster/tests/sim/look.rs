//! Partitions of a world, and what can be seen of it from outside.

use crate::{
    network::Faults,
    world::{Life, World, id_of},
};
use cluster::{Card, NodeId, membership::Liveness, records, roster::Standing};
use std::collections::BTreeSet;

impl World {
    /// A partition: each node to its side.
    pub fn part(&mut self, side_of: impl Fn(usize) -> u32) {
        for index in 0..self.nodes.len() {
            self.net.side[index] = side_of(index);
        }
        for (one, other) in self.net.drop_cut_links() {
            self.silence(one, other);
        }
    }

    /// Ends all partitions.
    pub fn heal(&mut self) {
        self.net.side.fill(0);
        self.net.blocked.clear();
    }

    pub fn faults(&mut self) -> &mut Faults {
        &mut self.net.faults
    }

    /// Those that are on.
    pub fn on(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| self.nodes[*index].is_some()).collect()
    }

    /// Whom a node holds for alive.
    pub fn alive(&self, index: usize) -> BTreeSet<NodeId> {
        let life = self.nodes[index].as_ref().unwrap();
        let alive = life.node.beliefs().into_iter().filter(|(_, belief)| belief.state != Liveness::Down);
        alive.map(|(node, _)| node).collect()
    }

    /// Whether all running nodes of `side` see each other and nobody else.
    pub fn agrees(&self, side: u32) -> bool {
        let there: Vec<usize> = self.on().into_iter().filter(|index| self.net.side[*index] == side).collect();
        let ids: BTreeSet<NodeId> = there.iter().map(|index| id_of(self.seeds[*index])).collect();
        there.iter().all(|index| {
            let me = id_of(self.seeds[*index]);
            let alive = self.alive(*index);
            alive.len() + 1 == ids.len() && alive.iter().all(|node| *node != me && ids.contains(node))
        })
    }

    /// Whether all running nodes hold the same roster.
    pub fn same_rosters(&self) -> bool {
        let digests: BTreeSet<[u8; 32]> = self.nodes.iter().flatten().map(|life| life.node.roster().digest()).collect();
        digests.len() == 1
    }

    /// Those that are on and that the founder holds for what is said.
    pub fn with_standing(&self, standing: Standing) -> Vec<usize> {
        let Some(founder) = &self.nodes[0] else { return Vec::new() };
        self.on().into_iter().filter(|index| founder.node.roster().standing(&id_of(self.seeds[*index])) == standing).collect()
    }

    /// Whether its members hold the same roster and the same view, and write.
    pub fn members_agree(&self) -> bool {
        let lives: Vec<&Life> = self.with_standing(Standing::Member).into_iter().filter_map(|index| self.nodes[index].as_ref()).collect();
        let rosters: BTreeSet<_> = lives.iter().map(|life| life.node.roster().digest()).collect();
        let roots: BTreeSet<_> = lives.iter().map(|life| life.records.root()).collect();
        rosters.len() == 1 && roots.len() == 1 && lives.iter().all(|life| is_open(life))
    }

    /// Whether all running nodes have the same view and write.
    pub fn same_views(&self) -> bool {
        let roots: BTreeSet<_> = self.nodes.iter().flatten().map(|life| life.records.root()).collect();
        roots.len() == 1 && self.nodes.iter().flatten().all(is_open)
    }

    pub fn card(&self, at: usize, of: usize) -> Option<&Card> {
        self.nodes[at].as_ref()?.node.roster().card(&id_of(of))
    }
}

fn is_open(life: &Life) -> bool {
    matches!(life.records.phase(), records::Phase::Open | records::Phase::Copied)
}
