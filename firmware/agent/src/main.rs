//! The `cloudy` program.
fn main() {}
