//! That news reach a member which others doubt just then: a suspect, one that dials, one that they know by an earlier life.

use crate::{
    membership::joined,
    world::{World, id_of},
};
use cluster::{farewell, membership::Liveness, node::Output};
use std::time::Duration;

fn state(world: &World, at: usize, of: usize) -> Liveness {
    world.nodes[at].as_ref().unwrap().node.beliefs()[&id_of(of)].state
}

/// What a node sends to another within ten seconds, if nobody answers.
fn sends(world: &mut World, from: usize, to: usize) -> Vec<Vec<u8>> {
    let mut now = world.now;
    let node = &mut world.life(from).node;
    let mut sent: Vec<Output> = Vec::new();
    for _ in 0..100 {
        now = now.plus(Duration::from_millis(100));
        node.tick(now);
        sent.extend(node.outputs());
    }
    let bytes = |output| if let Output::Send { to: whom, bytes } = output { (whom == id_of(to)).then_some(bytes) } else { None };
    sent.into_iter().filter_map(bytes).collect()
}

#[test]
fn a_goodbye_is_told_to_a_suspect_too() {
    let mut world = joined(31, 2, 0.0);
    let now = world.now;
    let node = &mut world.life(1).node;
    node.fell_silent(now, id_of(0));
    node.goodbye(now);
    let told = node
        .outputs()
        .filter(|output| matches!(output, Output::Send { to, bytes } if *to == id_of(0) && bytes.first() == Some(&farewell::DATAGRAM)));
    assert!(told.count() > 0);
}

#[test]
fn a_goodbye_said_to_this_node_holds_while_it_dials() {
    let mut world = joined(32, 2, 0.0);
    let now = world.now;
    world.life(1).node.goodbye(now);
    let said: Vec<Output> = world.life(1).node.outputs().collect();
    world.life(0).node.fell_silent(now, id_of(1));
    assert_eq!(state(&world, 0, 1), Liveness::Suspect);
    for output in said {
        // Without those that are signed.
        if let Output::Send { bytes, .. } = output
            && bytes.first() != Some(&farewell::DATAGRAM)
        {
            world.life(0).node.datagram(now, id_of(1), &bytes);
        }
    }
    assert_eq!(state(&world, 0, 1), Liveness::Down);
}

#[test]
fn what_is_told_to_an_earlier_life_of_a_node_holds() {
    let mut world = joined(33, 3, 0.0);
    let now = world.now;
    world.life(1).node.fell_silent(now, id_of(2));
    let told = sends(&mut world, 1, 0);
    assert!(!told.is_empty());
    world.kill(0);
    world.start(0);
    assert_eq!(state(&world, 0, 2), Liveness::Down, "nothing is known of it yet");
    for bytes in told {
        world.life(0).node.datagram(now, id_of(1), &bytes);
    }
    assert_eq!((state(&world, 0, 1), state(&world, 0, 2)), (Liveness::Alive, Liveness::Suspect));
}
