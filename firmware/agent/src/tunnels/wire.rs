//! What travels at the beginning of a tunnel's stream: which service is meant, and the answer. After that, bytes of the connection.
//!
//! ```text
//! ─▶ version (1), bytes of the key (1 to 64), the key          ◀─ one byte: `Answer`
//! ```
//! Architecture invariant: what is asked for is a service's key, never a port or an address.

use crate::net::check_key;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The version that is spoken.
const VERSION: u8 = 1;
/// Longest key in bytes.
const MAX_KEY_BYTES: usize = 64;

/// What the other side says of a service before the bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is a connection.
    Open,
    /// It publishes no such service, or not any more.
    Unknown,
    /// It is published, but not as a port of that node.
    NoPort,
    /// It is a port of the node's own, which is for nobody by this way.
    NodesOwn,
    /// Nothing answers at its port.
    Silent,
    /// Too many at once.
    Busy,
    /// What was asked can't be read.
    Unread,
    /// It is published and stopped: its port may be another's by now.
    Stopped,
}

impl Answer {
    /// All of them, by the byte that says them.
    const ALL: [Self; 8] = [Self::Open, Self::Unknown, Self::NoPort, Self::NodesOwn, Self::Silent, Self::Busy, Self::Unread, Self::Stopped];

    /// The byte that says it.
    pub fn byte(self) -> u8 {
        (0..).zip(Self::ALL).find(|(_, answer)| *answer == self).map_or(u8::MAX, |(byte, _)| byte)
    }

    /// What a byte says; of a later version's, that the question was not understood.
    pub fn of(byte: u8) -> Self {
        Self::ALL.get(usize::from(byte)).copied().unwrap_or(Self::Unread)
    }
}

/// The question for a service. The key has been checked.
pub fn head(key: &str) -> Vec<u8> {
    let length = u8::try_from(key.len()).unwrap_or_default();
    [&[VERSION, length], key.as_bytes()].concat()
}

/// Reads the question, and not a byte more: the key, as it may be.
///
/// # Errors
/// It is none.
pub async fn read_head(from: &mut (impl AsyncRead + Unpin)) -> Result<String, Answer> {
    let mut begin = [0; 2];
    from.read_exact(&mut begin).await.map_err(|_| Answer::Unread)?;
    let [version, length] = begin;
    let length = usize::from(length);
    if version != VERSION || !(1..=MAX_KEY_BYTES).contains(&length) {
        return Err(Answer::Unread);
    }
    let mut key = vec![0; length];
    from.read_exact(&mut key).await.map_err(|_| Answer::Unread)?;
    let key = String::from_utf8(key).map_err(|_| Answer::Unread)?;
    check_key(&key).map(|()| key).map_err(|_| Answer::Unread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(mut bytes: &[u8]) -> (Result<String, Answer>, usize) {
        let all = bytes.len();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(read_head(&mut bytes));
        (read, all - bytes.len())
    }

    #[test]
    fn what_is_asked_is_read_back_and_no_byte_of_what_follows_is_taken() {
        for key in ["a", "wiki", "photo_album.2-x", &"x".repeat(64)] {
            let asked = [head(key), b"GET / HTTP/1.1".to_vec()].concat();
            assert_eq!(read(&asked), (Ok(key.to_owned()), key.len() + 2));
        }
        let wrong: [&[u8]; 10] = [
            b"",
            b"\x01",
            b"\x02\x04wiki",
            b"\x01\x05wiki",
            b"\x01\x00",
            b"\x01\x41x",
            b"\x01\x02\xff\xfe",
            b"\x01\x02..",
            b"\x01\x03a/b",
            b"\x01\x0280 ",
        ];
        for bytes in wrong.iter().filter(|bytes| **bytes != b"\x01\x0280 ") {
            assert_eq!(read(bytes).0, Err(Answer::Unread), "{bytes:?}");
        }
        // Digits are a key, and no port.
        assert_eq!(read(b"\x01\x0280 ").0, Ok("80".to_owned()));
    }

    #[test]
    fn answers_are_read_back_and_those_of_later_versions_are_no_yes() {
        for answer in Answer::ALL {
            assert_eq!(Answer::of(answer.byte()), answer);
        }
        assert_eq!(Answer::Open.byte(), 0);
        assert!((1..=u8::MAX).all(|byte| Answer::of(byte) != Answer::Open));
    }

    proptest! {
        /// Whatever comes: a key that a service may have, from at most so many bytes, or no.
        #[test]
        fn hostile_bytes_are_a_key_or_refused_and_take_no_more_than_a_head(bytes in prop::collection::vec(any::<u8>(), 0..300), framed: bool, length: u8) {
            let bytes = if framed { [vec![VERSION, length], bytes].concat() } else { bytes };
            let (found, taken) = read(&bytes);
            prop_assert!(taken <= 2 + MAX_KEY_BYTES);
            match found {
                Ok(key) => prop_assert!(check_key(&key).is_ok() && head(&key) == bytes[..taken]),
                Err(answer) => prop_assert_eq!(answer, Answer::Unread),
            }
        }

        #[test]
        fn keys_of_services_come_through(key in "[a-z0-9_][a-z0-9_.-]{0,63}") {
            prop_assert_eq!(read(&head(&key)).0, Ok(key));
        }
    }
}
