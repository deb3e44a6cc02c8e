//! Values of the boot loader's EFI variables.

use contract::boot::{BuildId, EntryName};

/// A text variable as efivarfs gives it: four bytes of attributes, then UTF-16 with a zero at its end.
pub fn text(bytes: &[u8]) -> Option<String> {
    let units = bytes.get(4..)?.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    char::decode_utf16(units.take_while(|unit| *unit != 0)).collect::<Result<_, _>>().ok()
}

/// The entry that the boot loader counts, of the path that it left, if it is the running build's. It may be another's: a boot loader that
/// could not start one entry, and was started again by the firmware without a reset, leaves that one's path where the next has no counter.
pub fn counted(path: &str, running: Option<BuildId>) -> Option<EntryName> {
    EntryName::parse_path(path).filter(|entry| running == Some(entry.build))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_of_another_system_is_not_taken_for_the_running_ones() {
        let path = "\\loader\\entries\\cloudy-00112233445566778899aabbccddeeff+2-1.conf";
        let entry = EntryName::parse_path(path).unwrap();
        assert_eq!(counted(path, Some(entry.build)), Some(entry));
        assert_eq!(counted(path, Some(BuildId([1; 16]))), None);
        assert_eq!(counted(path, None), None);
        assert_eq!(counted("x", Some(entry.build)), None);
    }

    #[test]
    fn text_is_read_up_to_its_zero() {
        assert_eq!(text(b"\x06\0\0\0A\0-\0\0\0x\0").as_deref(), Some("A-"));
        assert_eq!(text(b"\x06\0\0"), None);
        assert_eq!(text(b"\x06\0\0\0\x00\xd8"), None);
    }
}
