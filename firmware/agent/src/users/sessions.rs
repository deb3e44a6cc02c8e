//! Sessions of people who logged in: in memory alone, by the hash of their id. Pure; the time is said by those who ask.
//!
//! A cookie knows no ports: a browser gives it to every app of this node too. So a session is good from the address alone where it
//! was opened, which no app has.

use super::secret::{Hash, Secret};
use crate::limits::{SESSION_IDLE, SESSION_LIFE, SESSIONS_KEPT, SESSIONS_OF_ONE};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

/// Where somebody is: an address, or with IPv6 its network of 64 bits, since machines change the rest themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place(IpAddr);

impl From<IpAddr> for Place {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => Self(v4.into()),
            IpAddr::V6(v6) => Self(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into()),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Where somebody is, and whether they came over HTTPS: a session is good for what it was opened by alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The address.
    pub ip: IpAddr,
    /// Whether nobody on the way can read along.
    pub encrypted: bool,
}

impl From<IpAddr> for At {
    fn from(ip: IpAddr) -> Self {
        Self { ip, encrypted: false }
    }
}

#[derive(Debug)]
struct Session {
    user: String,
    place: Place,
    encrypted: bool,
    begun: Instant,
    used: Instant,
}

impl Session {
    fn lives(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begun) < SESSION_LIFE && now.saturating_duration_since(self.used) < SESSION_IDLE
    }
}

/// All sessions.
#[derive(Debug, Default)]
pub struct Sessions(HashMap<Hash, Session>);

impl Sessions {
    /// Opens one. What is too many ends: first what expired, then what was used least lately.
    pub fn open(&mut self, user: &str, at: At, now: Instant) -> Secret {
        self.0.retain(|_, session| session.lives(now));
        self.spare(|session| session.user == user, SESSIONS_OF_ONE);
        self.spare(|_| true, SESSIONS_KEPT);
        let id = Secret::random();
        self.0.insert(id.hash(), Session { user: user.to_owned(), place: at.ip.into(), encrypted: at.encrypted, begun: now, used: now });
        id
    }

    /// Makes room for one more among those that are meant.
    fn spare(&mut self, meant: impl Fn(&Session) -> bool, most: usize) {
        while self.0.values().filter(|session| meant(session)).count() >= most {
            let oldest = self.0.iter().filter(|(_, session)| meant(session)).min_by_key(|(_, session)| session.used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else { return };
            self.0.remove(&oldest);
        }
    }

    /// Whose session that is, if it is used where it was opened and has not expired. `counts`: whether this is a use.
    pub fn user(&mut self, id: &Secret, at: At, now: Instant, counts: bool) -> Option<String> {
        let session = self.0.get_mut(&id.hash())?;
        if !session.lives(now) {
            self.0.remove(&id.hash());
            return None;
        }
        if session.place != Place::from(at.ip) || session.encrypted != at.encrypted {
            return None;
        }
        if counts {
            session.used = now;
        }
        Some(session.user.clone())
    }

    /// Ends one.
    pub fn close(&mut self, id: &Secret) {
        self.0.remove(&id.hash());
    }

    /// Ends all of a person; how many there were.
    pub fn close_all_of(&mut self, user: &str) -> usize {
        let before = self.0.len();
        self.0.retain(|_, session| session.user != user);
        before - self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn place(ip: &str) -> At {
        ip.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_session_ends_when_it_is_not_used_and_in_the_end_anyhow() {
        let (mut sessions, start, here) = (Sessions::default(), Instant::now(), place("192.168.1.7"));
        let idle = sessions.open("ana", here, start);
        assert!(sessions.user(&idle, here, start + SESSION_IDLE - SECOND, false).is_some());
        assert!(sessions.user(&idle, here, start + SESSION_IDLE, true).is_none(), "looking was no use of it");
        let (used, mut now) = (sessions.open("ana", here, start), start);
        while now + SESSION_IDLE / 2 < start + SESSION_LIFE {
            now += SESSION_IDLE / 2;
            assert_eq!(sessions.user(&used, here, now, true).as_deref(), Some("ana"));
        }
        assert!(sessions.user(&used, here, start + SESSION_LIFE, true).is_none());
        assert!(sessions.0.is_empty(), "what has ended is not kept");
    }

    #[test]
    fn a_session_is_good_where_it_was_opened() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let id = sessions.open("ana", place("192.168.1.7"), now);
        assert!(sessions.user(&id, place("172.18.0.2"), now, true).is_none());
        assert!(sessions.user(&id, place("::ffff:192.168.1.7"), now, true).is_some());
        let six = sessions.open("ana", place("fd00::1:2:3:4"), now);
        assert!(sessions.user(&six, place("fd00::5:6:7:8"), now, true).is_some());
        assert!(sessions.user(&six, place("fd00:0:0:1::1"), now, true).is_none());
    }

    #[test]
    fn a_session_of_https_is_good_there_alone_and_one_of_http_is_none_there() {
        let (mut sessions, now, here) = (Sessions::default(), Instant::now(), place("192.168.1.7"));
        let over = |encrypted| At { encrypted, ..here };
        let (plain, encrypted) = (sessions.open("ana", over(false), now), sessions.open("ana", over(true), now));
        for (id, how, good) in [(&plain, false, true), (&plain, true, false), (&encrypted, true, true), (&encrypted, false, false)] {
            assert_eq!(sessions.user(id, over(how), now, true).is_some(), good);
        }
    }

    #[test]
    fn there_are_so_many_and_no_more_and_only_hashes() {
        let (mut sessions, start, here) = (Sessions::default(), Instant::now(), place("192.168.1.7"));
        let other = sessions.open("ben", here, start);
        let ids: Vec<Secret> = (0..20).map(|n| sessions.open("ana", here, start + n * SECOND)).collect();
        let now = start + 30 * SECOND;
        let alive = ids.iter().filter(|id| sessions.user(id, here, now, true).is_some()).count();
        assert_eq!(alive, SESSIONS_OF_ONE);
        assert!(sessions.user(&ids[19], here, now, true).is_some() && sessions.user(&other, here, now, true).is_some());
        assert_eq!(sessions.close_all_of("ana"), SESSIONS_OF_ONE);
        assert!(sessions.user(&ids[19], here, now, true).is_none());
        for n in 0..2 * SESSIONS_KEPT {
            sessions.open(&format!("user{n}"), here, now);
        }
        assert_eq!(sessions.0.len(), SESSIONS_KEPT);
        let last = sessions.open("last", here, now);
        assert!(
            !sessions.0.contains_key(&<Hash>::try_from(data_encoding::BASE64URL_NOPAD.decode(last.text().as_bytes()).unwrap()).unwrap())
        );
        sessions.close(&last);
        assert!(sessions.user(&last, here, now, true).is_none());
    }
}
