//! What the builder and the node must agree on. No I/O.

pub mod gpt;
pub mod guid;
pub mod mbr;
pub mod partitions;
