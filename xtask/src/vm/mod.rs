//! Virtual nodes: QEMU from the tools tree, a private link between them, and scenarios that try what a node must survive.
//!
//! Nothing here needs root. The disks are copies of an image as it is shipped; a test gets into a node by what any
//! owner may write on its config partition, never by a changed image.

pub mod boot_cases;
mod cuts;
mod dhcp;
mod disk;
mod emulator;
mod hub;
mod lab;
mod machine;
mod node;
mod power;
mod qmp;
pub mod scenario;
mod visit;

pub use emulator::Emulator;
pub use lab::{DISK_GB, Lab, MEMORY_MB, NodeSpec, prepare_folder};
pub use machine::{Model, PAGE_PORT, SSH_PORT};
pub use visit::{SSH_USER, make_key, run as run_by_ssh};
