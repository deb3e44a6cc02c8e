//! Debian packages as values: the committed lock that names them, the cache that holds them, the reader that opens them.
//!
//! A build reads a [`lock`] alone: every `.deb` by sha256, size and path below one of the [`sources`]. [`fetch`] brings
//! what the [`cache`] lacks; [`deb`] reads a package's control part, [`data`] its files.
//! Only `cargo xtask lock` asks apt, so there is no resolver of ours
//! ([`resolve`]).

mod apt;
pub mod cache;
pub mod data;
pub mod deb;
pub mod fetch;
mod http;
mod index;
pub mod lock;
pub mod resolve;
pub mod sources;
mod text;
mod unverified;

#[cfg(test)]
mod resolve_tests;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
