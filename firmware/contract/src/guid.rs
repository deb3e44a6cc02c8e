//! GUIDs: read as people write them, stored as GPT stores them.

use std::fmt;
use std::str::FromStr;

/// A GUID; its number is what the written form shows, most significant digit first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(pub u128);

/// What is wrong with a written GUID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no GUID: write it as 00000000-0000-0000-0000-000000000000, in hexadecimal")]
pub struct GuidError(String);

impl Guid {
    /// All zero: an entry that is not in use.
    pub const ZERO: Self = Self(0);

    /// A version 4 GUID from 16 random bytes.
    pub const fn from_random(random: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(random);
        let version = (number & !(0xf << 76)) | (0x4 << 76);
        Self((version & !(0x3 << 62)) | (0x2 << 62))
    }

    /// As it lies on disk (UEFI 2.10, appendix A: the first three fields little-endian).
    pub const fn to_disk(self) -> [u8; 16] {
        swap(self.0.to_be_bytes())
    }

    /// From the bytes on disk.
    pub const fn from_disk(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(swap(bytes)))
    }
}

/// Written order ↔ disk order; its own inverse.
const fn swap(b: [u8; 16]) -> [u8; 16] {
    [b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]]
}

impl fmt::Display for Guid {
    /// Upper case, as the UEFI specification writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0;
        write!(
            f,
            "{:08X}-{:04X}-{:04X}-{:04X}-{:012X}",
            n >> 96,
            (n >> 80) & 0xffff,
            (n >> 64) & 0xffff,
            (n >> 48) & 0xffff,
            n & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Guid {
    type Err = GuidError;

    /// Upper and lower case are the same.
    fn from_str(text: &str) -> Result<Self, GuidError> {
        let error = || GuidError(text.to_owned());
        let mut number = 0u128;
        let mut groups = text.split('-');
        for digits in [8, 4, 4, 4, 12] {
            let group = groups.next().ok_or_else(error)?;
            if group.len() != digits || !group.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(error());
            }
            let value = u128::from_str_radix(group, 16).map_err(|_| error())?;
            number = (number << (4 * digits)) | value;
        }
        if groups.next().is_some() { Err(error()) } else { Ok(Self(number)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_esp_type_lies_on_disk_as_the_specification_says() {
        let esp: Guid = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B".parse().unwrap();
        let bytes = [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];
        assert_eq!(esp.to_disk(), bytes);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "C12A7328", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B-", "+12A7328-F81F-11D2-BA4B-00A0C93EC93B"] {
            assert!(text.parse::<Guid>().is_err(), "{text}");
        }
    }

    #[test]
    fn random_ones_are_version_4() {
        assert_eq!(Guid::from_random([0xff; 16]).to_string(), "FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF");
        assert_eq!(Guid::from_random([0; 16]).to_string(), "00000000-0000-4000-8000-000000000000");
    }

    proptest! {
        #[test]
        fn text_and_disk_round_trip(number: u128) {
            let guid = Guid(number);
            prop_assert_eq!(guid.to_string().parse(), Ok(guid));
            prop_assert_eq!(guid.to_string().to_lowercase().parse(), Ok(guid));
            prop_assert_eq!(Guid::from_disk(guid.to_disk()), guid);
        }
    }
}
