//! What init decides, as pure functions: no file is opened here, so each rule is tested on bytes and values.

pub mod choose;
pub mod clock;
pub mod efivar;
pub mod erofs;
pub mod ext4;
pub mod failure;
pub mod first_boot;
pub mod fsck;
pub mod modules;
pub mod passed_over;
pub mod slots;
pub mod uevent;
