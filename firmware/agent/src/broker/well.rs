//! Waits until a container is well: Docker's events say when to look, and what is seen decides.

use super::Failure;
use super::docker::failed;
use super::run::plain;
use crate::limits::{FAILURE_OUTPUT_BYTES, WELL_LOOK_EVERY};
use bollard::Docker;
use bollard::models::{ContainerState, ContainerStateStatusEnum as Status, HealthStatusEnum as HealthStatus};
use bollard::query_parameters::{EventsOptions, InspectContainerOptions};
use futures_util::StreamExt;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// What happens to a container that may mean that it is well or never will be.
const EVENTS: [&str; 5] = ["health_status", "start", "die", "stop", "destroy"];

/// What is seen of a container that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Well,
    NotYet,
    /// It will not be, and this is why.
    Never(String),
}

/// Waits until a container that was started is well.
pub async fn wait(docker: &Docker, container: &str, name: &str, most: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + most;
    let filter = |key: &str, values: &[&str]| (key.to_owned(), values.iter().map(|value| (*value).to_owned()).collect());
    let filters = HashMap::from([filter("container", &[container]), filter("event", &EVENTS)]);
    let mut events = std::pin::pin!(docker.events(Some(EventsOptions { filters: Some(filters), ..EventsOptions::default() })));
    let mut told = true;
    loop {
        let inspected = docker.inspect_container(container, None::<InspectContainerOptions>).await;
        let state = inspected.map_err(failed(&format!("looking at `{name}`")))?.state.unwrap_or_default();
        match seen(&state) {
            Seen::Well => return Ok(()),
            Seen::Never(why) => return Err(Failure { error: format!("`{name}` {why}"), output: said_last(&state) }),
            Seen::NotYet => {}
        }
        tokio::select! {
            event = events.next(), if told => told = matches!(event, Some(Ok(_))),
            // An event that came before anybody listened is made up for.
            () = sleep(WELL_LOOK_EVERY) => {}
            () = sleep_until(deadline) => {
                let error = format!("`{name}` is not well after {} s", most.as_secs());
                return Err(Failure { error, output: said_last(&state) });
            }
        }
    }
}

/// How a container is (pure).
fn seen(state: &ContainerState) -> Seen {
    let health = state.health.as_ref().and_then(|health| health.status);
    match (state.status, health) {
        (Some(Status::EXITED | Status::DEAD | Status::REMOVING), _) => {
            let code = state.exit_code.unwrap_or_default();
            let killed = if state.oom_killed == Some(true) { ", since it needed more memory than it may have" } else { "" };
            Seen::Never(format!("has ended with exit code {code}{killed}"))
        }
        (Some(Status::RUNNING), Some(HealthStatus::UNHEALTHY)) => Seen::Never("runs, and is not well: its health check fails".to_owned()),
        (Some(Status::RUNNING), Some(HealthStatus::HEALTHY | HealthStatus::NONE | HealthStatus::EMPTY) | None) => Seen::Well,
        // It starts, or is started again.
        _ => Seen::NotYet,
    }
}

/// What the health check said last.
fn said_last(state: &ContainerState) -> String {
    let last = state.health.as_ref().and_then(|health| health.log.as_ref()?.last()?.output.clone()).unwrap_or_default();
    match plain(last.trim()) {
        said if said.is_empty() => said,
        said => format!("What its health check said:\n{}", said.chars().take(FAILURE_OUTPUT_BYTES / 4).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::{Health, HealthcheckResult};

    fn state(status: Status, health: Option<HealthStatus>) -> ContainerState {
        let log = vec![HealthcheckResult { output: Some("no answer\u{1b}[31m\n".to_owned()), ..HealthcheckResult::default() }];
        let health = health.map(|status| Health { status: Some(status), log: Some(log), ..Health::default() });
        ContainerState { status: Some(status), health, exit_code: Some(3), ..ContainerState::default() }
    }

    #[test]
    fn a_container_is_well_when_it_runs_and_its_health_check_says_so() {
        for (status, health, expected) in [
            (Status::RUNNING, None, "well"),
            (Status::RUNNING, Some(HealthStatus::NONE), "well"),
            (Status::RUNNING, Some(HealthStatus::HEALTHY), "well"),
            (Status::RUNNING, Some(HealthStatus::STARTING), "not yet"),
            (Status::CREATED, None, "not yet"),
            (Status::RESTARTING, Some(HealthStatus::HEALTHY), "not yet"),
            (Status::PAUSED, Some(HealthStatus::HEALTHY), "not yet"),
            (Status::RUNNING, Some(HealthStatus::UNHEALTHY), "its health check fails"),
            (Status::EXITED, Some(HealthStatus::HEALTHY), "exit code 3"),
            (Status::DEAD, None, "exit code 3"),
        ] {
            let said = match seen(&state(status, health)) {
                Seen::Well => "well".to_owned(),
                Seen::NotYet => "not yet".to_owned(),
                Seen::Never(why) => why,
            };
            assert!(said.ends_with(expected), "{status:?} {health:?}: {said}");
        }
        let greedy = ContainerState { oom_killed: Some(true), ..state(Status::EXITED, None) };
        assert!(matches!(seen(&greedy), Seen::Never(why) if why.contains("memory")));
        assert_eq!(said_last(&state(Status::RUNNING, Some(HealthStatus::UNHEALTHY))), "What its health check said:\nno answer[31m");
        assert_eq!(said_last(&state(Status::RUNNING, None)), "");
    }
}
