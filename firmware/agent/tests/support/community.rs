//! Communities of real agents on loopback.

use super::{Agent, wait};

/// An agent that founds a community.
pub fn founder(name: &str) -> Agent {
    let agent = Agent::start(name, "[join]\nfound = \"Gracia\"\nmdns = false\n");
    wait("the community is founded", || (agent.alive() == [name]).then_some(()));
    agent
}

/// An agent that the founder let in.
pub fn joined(name: &str, founder: &Agent) -> Agent {
    let token = founder.json(&["invite"])["token"].as_str().unwrap().to_owned();
    let agent = Agent::start(name, "[join]\nmdns = false\n");
    agent.json(&["join", &token]);
    wait("it is in", || agent.alive().contains(&name.to_owned()).then_some(()));
    agent
}

/// A community of `garden`, which founds it, and others, who all see each other.
pub fn community(others: &[&str]) -> Vec<Agent> {
    let garden = founder("garden");
    let mut agents: Vec<Agent> = others.iter().map(|name| joined(name, &garden)).collect();
    agents.insert(0, garden);
    for agent in &agents {
        wait("all are seen", || (agent.alive().len() == agents.len()).then_some(()));
    }
    agents
}
