//! The builder: `cargo xtask`.
fn main() {}
