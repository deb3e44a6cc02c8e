//! Worlds of more nodes than could join one after the other in reasonable time.

use crate::world::{World, id_of};
use cluster::roster::{Item, Roster};
use std::time::Duration;

impl World {
    /// A world of nodes that were all admitted before, and are switched on one after the other within 3 s.
    pub fn of_members(seed: u64, count: usize, loss: f64) -> Self {
        let mut world = Self::new(seed, loss);
        let token = world.token(u16::try_from(count).unwrap());
        let mut roster = Roster::from_bytes(&world.files[0].roster).unwrap();
        let (_, refused) = roster.merge_all((1..count).map(|index| Item::Certificate(token.redeem(id_of(index)))));
        assert_eq!(refused, 0);
        world.stop(0);
        world.files[0].roster = roster.to_bytes();
        world.saves_late = true;
        world.start(0);
        for index in 1..count {
            if index % 100 == 0 {
                println!(
                    "{index} nodes are on after {:?}: {} comparisons of rosters, {} datagrams, {} MB",
                    world.now,
                    world.compares,
                    world.net.datagrams,
                    world.net.bytes / 1_000_000
                );
            }
            world.add(roster.clone());
            world.pass(Duration::from_secs(3) / count as u32);
        }
        world
    }
}
