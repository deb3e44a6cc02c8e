//! Values of the boot loader's EFI variables.

/// A text variable as efivarfs gives it: four bytes of attributes, then UTF-16 with a zero at its end.
pub fn text(bytes: &[u8]) -> Option<String> {
    let units = bytes.get(4..)?.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    char::decode_utf16(units.take_while(|unit| *unit != 0)).collect::<Result<_, _>>().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_up_to_its_zero() {
        assert_eq!(text(b"\x06\0\0\0A\0-\0\0\0x\0").as_deref(), Some("A-"));
        assert_eq!(text(b"\x06\0\0"), None);
        assert_eq!(text(b"\x06\0\0\0\x00\xd8"), None);
    }
}
