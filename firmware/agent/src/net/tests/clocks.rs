//! Nodes whose clocks are a year off: they are told, nobody else is, and nothing is harmed.

use super::*;
use crate::net::{Draft, JoinProblem, of_machine, start};
use std::time::SystemTime;

const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn a_year_ahead() -> SystemTime {
    of_machine() + YEAR
}

fn a_year_behind() -> SystemTime {
    of_machine() - YEAR
}

async fn publish(handle: &NetHandle, key: &str) {
    let registry = handle.registry.borrow().clone().unwrap();
    registry.publish(key, &Draft::default().service(key).unwrap(), true).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_is_a_year_ahead_or_behind_is_told_and_harms_nothing() {
    let data: Vec<tempfile::TempDir> = (0..5).map(|_| tempfile::tempdir().unwrap()).collect();
    let founder = start(config(data[0].path(), "n0", founding())).await.unwrap();
    let mut nodes = vec![founder];
    let days = |wall: super::super::Wall| i64::try_from(super::super::clock::seconds(wall)).unwrap() / 86_400;
    for (number, wall) in [of_machine, of_machine, a_year_ahead, a_year_behind].into_iter().enumerate() {
        let number = number + 1;
        let token = invite(&nodes[0], 1).await;
        let with = |join| NetConfig { wall, ..config(data[number].path(), &format!("n{number}"), join) };
        let node = start(with(by_token(&token))).await.unwrap();
        if days(wall) > days(of_machine) {
            // To its clock an invite with an end has ended, which it says; one without lets it in.
            let expired =
                |view: &ClusterView| view.joining.as_ref().is_some_and(|joining| joining.failures[0].reason == JoinProblem::Expired);
            until(&node, "expired, as it believes", expired).await;
            let token = command(&nodes[0], |reply| Command::Invite { uses: 1, valid_seconds: None, reply }).await.unwrap();
            command(&node, |reply| Command::Join { token, reply }).await.unwrap();
        }
        until(&node, "it is in", |view| alive(view) > number).await;
        nodes.push(node);
    }
    for (number, node) in nodes.iter().enumerate() {
        until(node, "all are there", |view| alive(view) == 5).await;
        publish(node, &format!("s{number}")).await;
    }
    let year = i64::try_from(YEAR.as_secs()).unwrap();
    let near = |seen: Option<i64>, wanted: i64| seen.is_some_and(|seen| (seen - wanted).abs() < 60);
    until(&nodes[3], "told: ahead", |view| near(view.clock_ahead_seconds, year)).await;
    until(&nodes[4], "told: behind", |view| near(view.clock_ahead_seconds, -year)).await;
    for (number, node) in nodes.iter().enumerate() {
        let seen = until(node, "all hold the same", |view| {
            let mine = nodes[0].view.borrow().records.clone();
            view.records.as_ref().is_some_and(|records| records.holders == 5 && Some(&records.root) == mine.as_ref().map(|mine| &mine.root))
        })
        .await;
        assert_eq!((alive(&seen), seen.clock_ahead_seconds.is_some()), (5, number >= 3), "{number}: {seen:#?}");
        assert!(seen.problems.is_empty(), "{:?}", seen.problems);
    }
    for node in nodes {
        shut_down(node).await;
    }
}
