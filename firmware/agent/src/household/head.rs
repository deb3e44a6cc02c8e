//! What travels at the beginning of a stream between nodes of one owner: for whom is asked. HTTP/1.1 follows.
//!
//! ```text
//! ─▶ version (1), role (0 to 2), scope (0 to 2), bytes of the name (0 to 64), the name of whoever asked the first node
//! ```
//! A version that is not known is answered by the end of the stream.

use crate::users::{Role, Scope};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The version that is spoken.
const VERSION: u8 = 1;
/// Longest name in bytes.
const NAME_BYTES: usize = 64;
const ROLES: [Role; 3] = [Role::Guest, Role::Operator, Role::Owner];
const SCOPES: [Scope; 3] = [Scope::Read, Scope::Apps, Scope::Admin];

/// For whom a node of the same owner asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acting {
    /// What they are called there; empty for whoever came over the local socket.
    pub user: String,
    /// What they are there.
    pub role: Role,
    /// What they may there as a program.
    pub scope: Scope,
}

fn place<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|each| each == one).and_then(|at| u8::try_from(at).ok()).unwrap_or_default()
}

impl Acting {
    /// As bytes. A longer name is cut: it is for the journal.
    pub fn head(&self) -> Vec<u8> {
        let name = self.user.get(..self.user.floor_char_boundary(NAME_BYTES)).unwrap_or_default();
        let bytes = u8::try_from(name.len()).unwrap_or_default();
        let mut head = vec![VERSION, place(&ROLES, &self.role), place(&SCOPES, &self.scope), bytes];
        head.extend(name.as_bytes());
        head
    }

    /// Reads it; none where it can't be read.
    pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let mut fixed = [0; 4];
        from.read_exact(&mut fixed).await.ok()?;
        let [version, role, scope, bytes] = fixed;
        let (role, scope) = (*ROLES.get(usize::from(role))?, *SCOPES.get(usize::from(scope))?);
        if version != VERSION || usize::from(bytes) > NAME_BYTES {
            return None;
        }
        let mut name = vec![0; usize::from(bytes)];
        from.read_exact(&mut name).await.ok()?;
        let user = String::from_utf8(name).ok().filter(|name| name.chars().all(crate::net::is_plain))?;
        Some(Self { user, role, scope })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    async fn read(bytes: &[u8]) -> Option<Acting> {
        Acting::read(&mut &bytes[..]).await
    }

    #[tokio::test]
    async fn for_whom_is_asked_is_read_back() {
        for (role, scope, user) in [(Role::Guest, Scope::Read, ""), (Role::Owner, Scope::Admin, "ana"), (Role::Operator, Scope::Apps, "àé")]
        {
            let acting = Acting { user: user.to_owned(), role, scope };
            assert_eq!(read(&acting.head()).await, Some(acting));
        }
        let long = Acting { user: "é".repeat(60), role: Role::Guest, scope: Scope::Read };
        assert_eq!(read(&long.head()).await.unwrap().user, "é".repeat(32));
    }

    #[tokio::test]
    async fn what_is_no_head_is_refused() {
        for wrong in
            [&[][..], &[1, 2, 2], &[2, 2, 2, 0], &[1, 3, 2, 0], &[1, 2, 3, 0], &[1, 2, 2, 3, b'a'], &[1, 2, 2, 1, 0xff], &[1, 2, 2, 1, 7]]
        {
            assert_eq!(read(wrong).await, None, "{wrong:?}");
        }
        let mut long = vec![1, 2, 2, 65];
        long.extend([b'a'; 65]);
        assert_eq!(read(&long).await, None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let read = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(read(&bytes));
            prop_assert!(read.is_none_or(|acting| bytes.starts_with(&acting.head())));
        }
    }
}
