//! Reading a FAT file system, and changing files of its top folder, by the `fatfs` crate.

use std::io::{Read, Write};

use fatfs::{Date, DateTime, FsOptions, Time, TimeProvider};

use super::YEAR;
use crate::Window;

/// The fixed date, for what `fatfs` writes.
#[derive(Debug)]
struct FixedTime;

impl TimeProvider for FixedTime {
    fn get_current_date(&self) -> Date {
        Date { year: YEAR, month: 1, day: 1 }
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime { date: self.get_current_date(), time: Time { hour: 0, min: 0, sec: 0, millis: 0 } }
    }
}

/// A FAT file system that is open for reading and for changing files of its top folder.
pub type Fat = fatfs::FileSystem<Window>;

/// Opens the file system in a window of a file.
pub fn open(window: Window) -> std::io::Result<Fat> {
    Fat::new(window, FsOptions::new().time_provider(&FixedTime).update_accessed_date(false))
}

/// All files of an open file system: path with `/`, content.
pub fn read_all(fat: &Fat) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    let mut folders = vec![(String::new(), fat.root_dir())];
    while let Some((prefix, folder)) = folders.pop() {
        for entry in folder.iter() {
            let entry = entry?;
            let name = entry.file_name();
            let path = format!("{prefix}{name}");
            if entry.is_dir() && name != "." && name != ".." {
                folders.push((format!("{path}/"), entry.to_dir()));
            } else if entry.is_file() {
                let mut content = Vec::new();
                entry.to_file().read_to_end(&mut content)?;
                files.push((path, content));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Writes a file of the top folder; what was there before is replaced.
pub fn put_top(fat: &Fat, name: &str, content: &[u8]) -> std::io::Result<()> {
    let mut file = fat.root_dir().create_file(name)?;
    file.truncate()?;
    file.write_all(content)?;
    file.flush()
}
