//! Just enough of PE, the format of UEFI programs, to tell whether one is signed and for which machine.

/// Index of the certificate table among the data directories.
const CERTIFICATES: usize = 4;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Machine number.
    pub machine: u16,
    /// Where the signatures lie in the file, and how many bytes they have; `None` if it is not signed.
    pub signatures: Option<(u32, u32)>,
}

/// Reads the header; `None` if it is no 64-bit UEFI program.
pub fn read(bytes: &[u8]) -> Option<Program> {
    let u16_at = |at: usize| bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes);
    let u32_at = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    if bytes.get(..2)? != b"MZ" {
        return None;
    }
    let header = usize::try_from(u32_at(0x3c)?).ok()?;
    if bytes.get(header..header.checked_add(4)?)? != b"PE\0\0" {
        return None;
    }
    let optional = header + 24;
    // PE32+.
    if u16_at(optional)? != 0x20b {
        return None;
    }
    let directories = u32_at(optional + 108)?;
    let entry = optional + 112 + 8 * CERTIFICATES;
    let signatures = if directories as usize > CERTIFICATES {
        let (at, len) = (u32_at(entry)?, u32_at(entry + 4)?);
        (len > 0).then_some((at, len))
    } else {
        None
    };
    Some(Program { machine: u16_at(header + 4)?, signatures })
}

impl Program {
    /// The bytes with the signatures cut off, as an unsigned program: for tests of what firmware does then.
    pub fn without_signatures(self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (at, _) = self.signatures?;
        let mut unsigned = bytes.get(..usize::try_from(at).ok()?)?.to_vec();
        let header = u32::from_le_bytes(bytes.get(0x3c..0x40)?.try_into().ok()?);
        let entry = usize::try_from(header).ok()? + 24 + 112 + 8 * CERTIFICATES;
        unsigned.get_mut(entry..entry + 8)?.fill(0);
        Some(unsigned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A program of no code, signed with nonsense.
    fn program() -> Vec<u8> {
        let mut bytes = vec![0; 0x40];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3c] = 0x40;
        bytes.extend_from_slice(b"PE\0\0\x64\x86");
        bytes.resize(0x40 + 24, 0);
        bytes.extend_from_slice(&[0x0b, 2]);
        bytes.resize(0x40 + 24 + 108, 0);
        bytes.extend_from_slice(&16u32.to_le_bytes());
        bytes.resize(0x40 + 24 + 112 + 16 * 8, 0);
        let end = bytes.len() as u32;
        let entry = 0x40 + 24 + 112 + 8 * CERTIFICATES;
        bytes[entry..entry + 4].copy_from_slice(&end.to_le_bytes());
        bytes[entry + 4] = 9;
        bytes.extend_from_slice(b"signature");
        bytes
    }

    #[test]
    fn a_signed_one_is_told_from_an_unsigned_one() {
        let bytes = program();
        let read_back = read(&bytes).unwrap();
        assert_eq!(read_back.machine, 0x8664);
        assert!(read_back.signatures.is_some());
        let unsigned = read_back.without_signatures(&bytes).unwrap();
        assert_eq!(unsigned.len(), bytes.len() - 9);
        assert_eq!(read(&unsigned).unwrap().signatures, None);
    }

    proptest! {
        #[test]
        fn any_change_and_any_length_is_survived(at in 0..320usize, value: u8, len in 0..320usize) {
            let mut bytes = program();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            bytes.truncate(len);
            if let Some(program) = read(&bytes) {
                let _ = program.without_signatures(&bytes);
            }
        }
    }
}
