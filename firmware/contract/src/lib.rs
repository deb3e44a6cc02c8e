//! What the builder and the node must agree on. No I/O.

pub mod apps;
pub mod arch;
pub mod boot;
pub mod erofs;
pub mod facts;
pub mod gpt;
pub mod guid;
pub mod mbr;
pub mod oci;
pub mod partitions;
pub mod paths;
pub mod report;
pub mod settings;
pub mod state;
pub mod storage;
