//! Secrets that people's programs carry: sessions' ids, tokens, the claim code. What is kept of them is a hash.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use rand::Rng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The cookie of a session.
pub const COOKIE: &str = "cloudy-session";
/// The same over HTTPS: a browser sends it nowhere else, and no page of another port or of plain HTTP can set it.
const ENCRYPTED_COOKIE: &str = "__Host-cloudy-session";
/// What a token begins with, so that people and secret scanners know it.
pub const TOKEN_PREFIX: &str = "cloudy-user-";
/// Letters of a claim code: none that are taken for another.
const CODE_LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Letters in a claim code: 60 bits.
const CODE_LENGTH: usize = 12;

/// 256 random bits. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is kept of a secret: SHA-256, which is enough for something with 256 random bits. Looking hashes up tells nothing by its time,
/// since nobody can choose them.
pub type Hash = [u8; 32];

impl Secret {
    /// A new one.
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// As it travels.
    pub fn text(&self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }

    /// Reads what [`Secret::text`] wrote, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 43).then(|| BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)).flatten()
    }

    /// What is kept.
    pub fn hash(&self) -> Hash {
        Sha256::digest(self.0).into()
    }

    /// The same as text, for files.
    pub fn hash_text(&self) -> String {
        HEXLOWER.encode(&self.hash())
    }

    /// What every form of this session carries: nobody who does not hold the session's id can say it, and it does not tell the id.
    pub fn csrf(&self) -> String {
        BASE64URL_NOPAD.encode(&Sha256::new().chain_update(b"cloudy csrf\0").chain_update(self.0).finalize())
    }

    /// Whether that is this session's [`Secret::csrf`], in a time that tells nothing.
    pub fn is_csrf(&self, said: &str) -> bool {
        self.csrf().as_bytes().ct_eq(said.as_bytes()).into()
    }
}

/// The session's id among the cookies of a request. A page of another port may add cookies of this name; two are none.
pub fn session<'a>(cookies: impl Iterator<Item = &'a str>, encrypted: bool) -> Option<Secret> {
    let pairs = cookies.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let name = if encrypted { ENCRYPTED_COOKIE } else { COOKIE };
    let mut ours = pairs.filter(|(said, _)| *said == name).map(|(_, value)| value);
    let first = ours.next()?;
    if ours.next().is_some() { None } else { Secret::parse(first) }
}

/// The cookie that begins a session. It goes with the browser; `encrypted` where it came over HTTPS.
pub fn cookie(id: &Secret, encrypted: bool) -> String {
    let (name, secure) = if encrypted { (ENCRYPTED_COOKIE, "; Secure") } else { (COOKIE, "") };
    format!("{name}={}; Path=/; HttpOnly; SameSite=Strict{secure}", id.text())
}

/// The cookie that ends it.
pub fn no_cookie(encrypted: bool) -> String {
    let (name, secure) = if encrypted { (ENCRYPTED_COOKIE, "; Secure") } else { (COOKIE, "") };
    format!("{name}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0{secure}")
}

/// The token in an `Authorization` header: none where it is none of ours, `Err` where it is and can't be read.
pub fn bearer(header: &str) -> Result<Option<Secret>, ()> {
    let Some((scheme, token)) = header.split_once(' ') else { return Ok(None) };
    match token.trim().strip_prefix(TOKEN_PREFIX) {
        Some(token) if scheme.eq_ignore_ascii_case("bearer") => Secret::parse(token).map(Some).ok_or(()),
        _ => Ok(None),
    }
}

/// A code that people read off one screen and type on another.
#[derive(Clone, Debug)]
pub struct Code(String);

impl Code {
    /// A new one.
    pub fn random() -> Self {
        let mut bytes = [0; CODE_LENGTH];
        rand::rng().fill_bytes(&mut bytes);
        let letter = |byte: &u8| char::from(*CODE_LETTERS.get(usize::from(byte % 32)).unwrap_or(&b'a'));
        Self(bytes.iter().map(letter).collect())
    }

    /// As it is shown: in groups of four.
    pub fn text(&self) -> String {
        let letters: Vec<char> = self.0.chars().collect();
        letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
    }

    /// Whether that is what a person read, however they wrote it.
    pub fn is(&self, said: &str) -> bool {
        let said: String = said.chars().filter(char::is_ascii_alphanumeric).take(2 * CODE_LENGTH).collect();
        self.0.as_bytes().ct_eq(said.to_ascii_lowercase().as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_what_was_written_is_read(bytes: [u8; 32], other in ".{0,60}") {
            let secret = Secret(bytes);
            prop_assert_eq!(Secret::parse(&secret.text()), Some(secret.clone()));
            // Whatever is read is written the same: no two texts are one secret.
            if let Some(read) = Secret::parse(&other) {
                prop_assert_eq!(read.text(), other.clone());
            }
            prop_assert_eq!(secret.is_csrf(&other), secret.csrf() == other);
        }

        #[test]
        fn any_cookies_are_read_without_harm(cookies in proptest::collection::vec(".{0,80}", 0..4), bytes: [u8; 32]) {
            let secret = Secret(bytes);
            let own = format!("a=b; {COOKIE}={}", secret.text());
            let with = cookies.iter().map(String::as_str).chain([own.as_str()]);
            let named = cookies.iter().flat_map(|c| c.split(';')).any(|p| p.trim().split_once('=').is_some_and(|(n, _)| n == COOKIE));
            prop_assert_eq!(session(with, false), (!named).then_some(secret));
        }

        #[test]
        fn any_authorization_is_read_without_harm(text in ".{0,80}", bytes: [u8; 32]) {
            let _any = bearer(&text);
            let secret = Secret(bytes);
            prop_assert_eq!(bearer(&format!("bearer {TOKEN_PREFIX}{}", secret.text())), Ok(Some(secret.clone())));
            prop_assert_eq!(bearer(&format!("Basic {TOKEN_PREFIX}{}", secret.text())), Ok(None));
        }

        #[test]
        fn a_code_is_itself_however_it_is_typed(other in "[a-z2-9]{0,14}") {
            let code = Code::random();
            prop_assert!(code.is(&code.text()) && code.is(&code.text().to_uppercase().replace('-', " ")));
            prop_assert_eq!(code.is(&other), code.0 == other);
        }
    }

    #[test]
    fn two_cookies_are_none_and_what_is_cut_is_none() {
        let (one, two) = (Secret::random(), Secret::random());
        let both = [format!("{COOKIE}={}; {COOKIE}={}", one.text(), two.text())];
        assert_eq!(session(both.iter().map(String::as_str), false), None);
        assert_eq!(session([format!("{COOKIE}={}", &one.text()[1..]).as_str()].into_iter(), false), None);
        assert_eq!(session(std::iter::empty(), false), None);
        assert_eq!(bearer(&format!("Bearer {TOKEN_PREFIX}short")), Err(()));
        assert!(format!("{one:?}").len() < 12);
    }

    #[test]
    fn cookies_say_who_may_see_them() {
        let plain = cookie(&Secret::random(), false);
        assert!(plain.contains("HttpOnly") && plain.contains("SameSite=Strict") && !plain.contains("Secure"));
        let secret = Secret::random();
        let encrypted = cookie(&secret, true);
        assert!(encrypted.starts_with("__Host-") && encrypted.ends_with("; Secure"));
        // What is carried over HTTPS opens nothing over HTTP, and the other way round.
        let pair = encrypted.split(';').next().unwrap();
        assert_eq!((session([pair].into_iter(), true), session([pair].into_iter(), false)), (Some(secret), None));
        assert_eq!(session([plain.split(';').next().unwrap()].into_iter(), true), None);
    }
}
