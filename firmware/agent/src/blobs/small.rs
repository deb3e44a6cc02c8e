//! Small blobs that are read whole, such as texts: of what somebody typed only the hash counts, and what is not here is fetched and waited
//! for.

use super::{Blobs, Refused, Taking, store};
use crate::limits::BLOB_TEXT_WAIT;
use crate::net::{BlobFacts, Registry, is_hash};
use futures_util::StreamExt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often is looked whether it is here.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Bytes at most of what is typed.
const TYPED_BYTES: usize = 2000;

/// The hash in what somebody typed: a hash, or an address that has one. At the address itself nobody is asked.
///
/// # Errors
/// There is none, or more than one.
pub fn hash_in(typed: &str) -> Result<&str, Refused> {
    let mut words = typed.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| typed.len() <= TYPED_BYTES && is_hash(word));
    match (words.next(), words.next()) {
        (Some(hash), None) => Ok(hash),
        _ => {
            let typed: String = typed.chars().take(80).flat_map(char::escape_debug).collect();
            Err(Refused::Wrong(format!(
                "`{typed}` names no blob: give its hash, 64 hexadecimal digits in lower case, or the address of the file with the hash in it"
            )))
        }
    }
}

impl Blobs {
    /// All of a blob that is a text of so many bytes at most. One that is not here is fetched first; if it does not come, nothing of it stays.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn text(self: &Arc<Self>, registry: Option<&Registry>, hash: &str, most: usize) -> Result<String, Refused> {
        let bytes = self.small(registry, hash, most).await?;
        String::from_utf8(bytes).map_err(|_| Refused::NoText(hash.to_owned()))
    }

    /// All of a blob of so many bytes at most. One that is not here is fetched first; if it does not come, nothing of it stays.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn small(self: &Arc<Self>, registry: Option<&Registry>, hash: &str, most: usize) -> Result<Vec<u8>, Refused> {
        let fits = |bytes: u64| match usize::try_from(bytes) {
            Ok(bytes) if bytes <= most => Ok(()),
            _ => Err(Refused::TooLong { hash: hash.to_owned(), bytes, most }),
        };
        let held = self.kept().blobs.contains_key(hash);
        self.fetch_as(registry, hash, Taking::No, |facts: &BlobFacts| fits(facts.size_bytes)).await?;
        let Ok(come) = timeout(BLOB_TEXT_WAIT, self.until_here(hash)).await else {
            let why = self.fetching().get(hash).and_then(|fetching| fetching.problem.clone());
            // Somebody else may want it by now, or it has just come.
            let is_idle = self.kept().blobs.get(hash).is_some_and(|held| !held.complete && !held.pinned);
            if !held && is_idle {
                self.remove(hash).await?;
            }
            return Err(Refused::NotCome { hash: hash.to_owned(), why: why.unwrap_or_else(|| "it is still coming".to_owned()) });
        };
        let bytes = come?;
        fits(bytes)?;
        let mut pieces = pin!(self.read(hash, 0..bytes).await?);
        let mut content = Vec::new();
        while let Some(piece) = pieces.next().await {
            content.extend_from_slice(&piece.map_err(store)?);
            fits(content.len() as u64)?;
        }
        Ok(content)
    }

    /// Waits until all of it is here, for its size.
    async fn until_here(&self, hash: &str) -> Result<u64, Refused> {
        loop {
            let held = self.kept().blobs.get(hash).map(|held| (held.complete, held.facts.size_bytes));
            match held {
                None => return Err(Refused::NotHere(hash.to_owned())),
                Some((true, bytes)) => return Ok(bytes),
                Some((false, _)) => sleep(LOOK_EVERY).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Visibility, Wish};
    use super::*;

    #[test]
    fn of_what_is_typed_the_hash_alone_counts() {
        let hash = "0f".repeat(32);
        for typed in [
            hash.clone(),
            format!(" {hash}\n"),
            format!("/blobs/{hash}"),
            format!("http://garden.local:4750/{hash}/compose.yaml?x=1#y"),
            format!("/api/v1/blobs/{hash}/content"),
        ] {
            assert_eq!(hash_in(&typed).unwrap(), hash, "{typed}");
        }
        let long = format!("{}/{hash}", "x".repeat(TYPED_BYTES));
        for typed in
            ["", "http://garden/compose.yaml", &hash[1..], &format!("a{hash}"), &hash.to_uppercase(), &format!("{hash}/{hash}"), &long]
        {
            let error = hash_in(typed).unwrap_err().to_string();
            assert!(error.contains("names no blob") && error.len() < 400, "{error}");
        }
        assert!(!hash_in("\u{1b}[2J").unwrap_err().to_string().contains('\u{1b}'));
    }

    #[tokio::test]
    async fn a_text_is_read_up_to_its_bound_and_nothing_else_is() {
        let data = tempfile::tempdir().unwrap();
        let blobs = Arc::new(Blobs::load(data.path(), true));
        let add = async |bytes: &[u8]| {
            let wish = Wish { name: "x".to_owned(), media_type: String::new(), visibility: Visibility::Private, pinned: true, app: None };
            let body = futures_util::stream::iter([Ok::<_, std::io::Error>(bytes.to_vec().into())]);
            blobs.add(wish, body).await.unwrap().hash
        };
        let (good, no_text) = (add("services: è".as_bytes()).await, add(&[b'a', 0xff]).await);
        assert_eq!(blobs.text(None, &good, 12).await.unwrap(), "services: è");
        assert!(matches!(blobs.text(None, &good, 11).await, Err(Refused::TooLong { bytes: 12, most: 11, .. })));
        assert!(matches!(blobs.text(None, &no_text, 100).await, Err(Refused::NoText(_))));
        let other = "0f".repeat(32);
        assert!(matches!(blobs.text(None, &other, 100).await, Err(Refused::Unknown(_))));
        assert!(blobs.one(&other).is_err(), "of what nobody holds nothing stays");
        blobs.close().await;
    }
}
