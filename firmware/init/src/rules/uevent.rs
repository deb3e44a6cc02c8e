//! What the kernel says of a device (its uevent netlink messages).

/// The part of a message that init acts on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uevent {
    /// Whether a device came.
    pub added: bool,
    /// What it asks for.
    pub modalias: Option<String>,
    /// Its kind, as `block`.
    pub subsystem: Option<String>,
}

/// Reads a message: `add@/devices/…`, then `KEY=value`, each with a zero at its end. `None` for what is not the
/// kernel's.
pub fn parse(message: &[u8]) -> Option<Uevent> {
    let text = std::str::from_utf8(message).ok()?;
    let mut fields = text.split_terminator('\0');
    let (action, _) = fields.next()?.split_once('@')?;
    let mut event = Uevent { added: action == "add", ..Uevent::default() };
    for field in fields {
        match field.split_once('=') {
            Some(("MODALIAS", value)) => event.modalias = Some(value.to_owned()),
            Some(("SUBSYSTEM", value)) => event.subsystem = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_read() {
        let event = parse(b"add@/devices/x\0ACTION=add\0SUBSYSTEM=scsi\0MODALIAS=scsi:t-0x00\0").unwrap();
        assert_eq!(event.modalias.as_deref(), Some("scsi:t-0x00"));
        assert_eq!(event.subsystem.as_deref(), Some("scsi"));
        assert!(event.added);
        assert!(!parse(b"remove@/devices/x\0").unwrap().added);
        assert_eq!(parse(b"libudev\0\xfe\xed"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
