//! The `cloudy` program: the agent of a node, and the commands that speak to it.

mod agent;
mod allocator;
mod apps;
mod blobs;
mod broker;
mod catalogs;
mod cli;
mod client;
mod confirm;
mod doctor;
mod full;
mod host;
mod household;
mod http;
mod https;
mod install;
mod kept;
mod leases;
mod limits;
mod links;
mod logging;
mod measured;
mod mounts;
mod net;
mod notify;
mod once;
mod pieces;
mod problems;
mod quality;
mod reset;
mod revision;
mod sampled;
mod settings;
mod setup;
mod state;
mod status;
mod storage;
mod stores;
mod text;
mod tokens;
mod tunnels;
mod uboot;
mod units;
mod users;
mod wifi;

use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::set_up();
    let args = <cli::Args as clap::Parser>::parse();
    // One thread: the agent waits far more than it works, and every thread costs memory.
    let runtime = match tokio::runtime::Builder::new_current_thread().max_blocking_threads(limits::BLOCKING_THREADS).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::fail(&anyhow::Error::new(error).context("starting the runtime")),
    };
    match runtime.block_on(cli::run(args)) {
        Ok(code) => code,
        Err(error) => cli::fail(&error),
    }
}
