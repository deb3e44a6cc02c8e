//! What the nodes of a world say of how they are.

use crate::world::{World, id_of, seed_of};
use cluster::{
    Millis,
    health::{Docker, Figures, Health, Link, Output, period},
};
use rand::RngExt;

/// How a machine is that runs some apps.
fn machine(now: Millis, links: Vec<Link>) -> Figures {
    Figures {
        uptime_seconds: u32::try_from(now.0 / 1000).unwrap(),
        load_hundredths: 123,
        cpu_percent: 12,
        cpus: 4,
        memory_total_mb: 4096,
        memory_available_mb: 3000,
        storage_total_mb: 64_000,
        storage_available_mb: 50_000,
        temperature_celsius: Some(51),
        docker: Docker::Running { version: "26.1.5+dfsg1".to_owned(), containers: 7 },
        version: "0.1.0".to_owned(),
        links,
    }
}

impl World {
    /// From now on all that are on say how they are, at times as far apart as where they have done so for long: for worlds in which bytes are counted.
    pub fn say_health(&mut self) {
        let (now, community, period) = (self.now, self.founding.id(), period(self.nodes.len()));
        for index in 0..self.nodes.len() {
            let (first, random) = (now.plus(period.mul_f64(self.rng.random_range(0.0..1.0))), self.rng.random());
            let (seed, epoch) = (seed_of(self.seeds[index]), self.files[index].epoch);
            if let Some(life) = &mut self.nodes[index] {
                life.health = Some(Health::new(first, seed, community, epoch, random));
                (life.members_stale, life.peers_stale) = (true, true);
                self.perform(index);
            }
        }
    }

    pub fn perform_health(&mut self, from: usize, output: Output) {
        match output {
            Output::Send { to, bytes } => {
                // As the agent's driver: nobody is dialled for that.
                if self.net.linked(from).any(|peer| id_of(self.seeds[peer]) == to) {
                    self.send(from, to, bytes);
                }
            }
            Output::Sample => {
                let linked = self.net.linked(from).map(|peer| id_of(self.seeds[peer]));
                let links = linked.map(|node| Link { node: node.0[..4].try_into().unwrap(), rtt_ms: 40, lost_permille: 200 }).collect();
                let figures = machine(self.now, links);
                let now = self.now;
                if let Some(health) = &mut self.life(from).health {
                    health.say(now, figures);
                }
            }
        }
    }
}
