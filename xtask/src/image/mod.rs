//! `Partitions → Image`: FAT file systems, the partition table, and the file that people flash.
//!
//! Nothing here needs root or a loop device. The same inputs give the same bytes. The image is written aside and
//! renamed when it is whole, so that there is never half an image under its name.

mod assemble;
mod bmap;
mod sink;
#[cfg(test)]
mod tests;

pub use assemble::{Image, Partitions, assemble};
pub use disks::parts::{boot_part, config_files, config_part, empty_boot_part, esp_part, state_part};
pub use disks::{Window, fat};
