//! Sessions of people who logged in, by the hash of their id. Pure; the time is said by those who ask.
//!
//! They outlive the agent: an update logs nobody out. On the disk lies how long each still has, and when that was written. What the calendar says
//! has passed since then is taken off; a clock that went back takes nothing off, so that of a board without a clock of its own a session may last
//! as much longer as the board was off.
//!
//! A cookie knows no ports: a browser gives it to every app of this node too. So a session is good from the address alone where it
//! was opened, which no app has.

use super::secret::{Hash, Secret};
use crate::limits::{SESSION_IDLE, SESSION_LIFE, SESSION_USES_EVERY, SESSIONS_KEPT, SESSIONS_OF_ONE};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

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
    whose: Whose,
    place: Place,
    encrypted: bool,
    /// It ends then anyhow.
    ends: Instant,
    /// It ends then, unless it is used.
    idle_ends: Instant,
}

impl Session {
    fn lives(&self, now: Instant) -> bool {
        now < self.ends && now < self.idle_ends
    }
}

/// Whose a session is: of the person as it was then. Another role or password is another revision, and so is a namesake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whose {
    /// The name.
    pub user: String,
    /// The revision of what was kept of the person.
    pub revision: u64,
}

/// Sessions as they lie on the disk.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Written {
    /// When, in seconds of Unix time.
    at: u64,
    sessions: Vec<One>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct One {
    /// The hash of its id.
    hash: String,
    #[serde(flatten)]
    whose: Whose,
    place: IpAddr,
    encrypted: bool,
    life_seconds: u64,
    idle_seconds: u64,
}

/// All sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    all: HashMap<Hash, Session>,
    /// When they were written, if they were.
    written: Option<Instant>,
}

impl Sessions {
    /// Opens one. What is too many ends: first what expired, then what was used least lately.
    pub fn open(&mut self, whose: Whose, at: At, now: Instant) -> Secret {
        self.all.retain(|_, session| session.lives(now));
        self.spare(|session| session.whose.user == whose.user, SESSIONS_OF_ONE);
        self.spare(|_| true, SESSIONS_KEPT);
        let id = Secret::random();
        let (ends, idle_ends) = (now + SESSION_LIFE, now + SESSION_IDLE);
        self.all.insert(id.hash(), Session { whose, place: at.ip.into(), encrypted: at.encrypted, ends, idle_ends });
        id
    }

    /// Those that were written; what is no session there is passed over.
    pub fn of(written: Written, now: Instant, unix: u64) -> Self {
        let passed = unix.saturating_sub(written.at);
        let left = |seconds: u64, most: Duration| now + Duration::from_secs(seconds.saturating_sub(passed)).min(most);
        let all = written.sessions.into_iter().filter_map(|one| {
            let hash: Hash = HEXLOWER.decode(one.hash.as_bytes()).ok()?.try_into().ok()?;
            let (ends, idle_ends) = (left(one.life_seconds, SESSION_LIFE), left(one.idle_seconds, SESSION_IDLE));
            Some((hash, Session { whose: one.whose, place: one.place.into(), encrypted: one.encrypted, ends, idle_ends }))
        });
        Self { all: all.filter(|(_, session)| session.lives(now)).take(SESSIONS_KEPT).collect(), written: Some(now) }
    }

    /// The same for the disk.
    pub fn write(&mut self, now: Instant, unix: u64) -> Written {
        self.written = Some(now);
        let seconds = |end: Instant| end.saturating_duration_since(now).as_secs();
        let one = |(hash, session): (&Hash, &Session)| One {
            hash: HEXLOWER.encode(hash),
            whose: session.whose.clone(),
            place: session.place.0,
            encrypted: session.encrypted,
            life_seconds: seconds(session.ends),
            idle_seconds: seconds(session.idle_ends),
        };
        Written { at: unix, sessions: self.all.iter().filter(|(_, session)| session.lives(now)).map(one).collect() }
    }

    /// Whether they were used since long ago without being written: a card is not written to at each click.
    pub fn is_due(&self, now: Instant) -> bool {
        !self.all.is_empty() && self.written.is_none_or(|written| now.saturating_duration_since(written) >= SESSION_USES_EVERY)
    }

    /// Makes room for one more among those that are meant.
    fn spare(&mut self, meant: impl Fn(&Session) -> bool, most: usize) {
        while self.all.values().filter(|session| meant(session)).count() >= most {
            let oldest = self.all.iter().filter(|(_, session)| meant(session)).min_by_key(|(_, session)| session.idle_ends);
            let Some(oldest) = oldest.map(|(id, _)| *id) else { return };
            self.all.remove(&oldest);
        }
    }

    /// Whose session that is, if it is used where it was opened and has not expired. `counts`: whether this is a use.
    pub fn user(&mut self, id: &Secret, at: At, now: Instant, counts: bool) -> Option<Whose> {
        let session = self.all.get_mut(&id.hash())?;
        if !session.lives(now) {
            self.all.remove(&id.hash());
            return None;
        }
        if session.place != Place::from(at.ip) || session.encrypted != at.encrypted {
            return None;
        }
        if counts {
            session.idle_ends = now + SESSION_IDLE;
        }
        Some(session.whose.clone())
    }

    /// Ends one.
    pub fn close(&mut self, id: &Secret) {
        self.all.remove(&id.hash());
    }

    /// Ends all of a person; how many there were.
    pub fn close_all_of(&mut self, user: &str) -> usize {
        let before = self.all.len();
        self.all.retain(|_, session| session.whose.user != user);
        before - self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const SECOND: Duration = Duration::from_secs(1);

    fn place(ip: &str) -> At {
        ip.parse::<IpAddr>().unwrap().into()
    }

    fn whose(user: &str) -> Whose {
        Whose { user: user.to_owned(), revision: 1 }
    }

    #[test]
    fn a_session_ends_when_it_is_not_used_and_in_the_end_anyhow() {
        let (mut sessions, start, here) = (Sessions::default(), Instant::now(), place("192.168.1.7"));
        let idle = sessions.open(whose("ana"), here, start);
        assert!(sessions.user(&idle, here, start + SESSION_IDLE - SECOND, false).is_some());
        assert!(sessions.user(&idle, here, start + SESSION_IDLE, true).is_none(), "looking was no use of it");
        let (used, mut now) = (sessions.open(whose("ana"), here, start), start);
        while now + SESSION_IDLE / 2 < start + SESSION_LIFE {
            now += SESSION_IDLE / 2;
            assert_eq!(sessions.user(&used, here, now, true), Some(whose("ana")));
        }
        assert!(sessions.user(&used, here, start + SESSION_LIFE, true).is_none());
        assert!(sessions.all.is_empty(), "what has ended is not kept");
    }

    #[test]
    fn a_session_is_good_where_it_was_opened() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let id = sessions.open(whose("ana"), place("192.168.1.7"), now);
        assert!(sessions.user(&id, place("172.18.0.2"), now, true).is_none());
        assert!(sessions.user(&id, place("::ffff:192.168.1.7"), now, true).is_some());
        let six = sessions.open(whose("ana"), place("fd00::1:2:3:4"), now);
        assert!(sessions.user(&six, place("fd00::5:6:7:8"), now, true).is_some());
        assert!(sessions.user(&six, place("fd00:0:0:1::1"), now, true).is_none());
    }

    #[test]
    fn a_session_of_https_is_good_there_alone_and_one_of_http_is_none_there() {
        let (mut sessions, now, here) = (Sessions::default(), Instant::now(), place("192.168.1.7"));
        let over = |encrypted| At { encrypted, ..here };
        let (plain, encrypted) = (sessions.open(whose("ana"), over(false), now), sessions.open(whose("ana"), over(true), now));
        for (id, how, good) in [(&plain, false, true), (&plain, true, false), (&encrypted, true, true), (&encrypted, false, false)] {
            assert_eq!(sessions.user(id, over(how), now, true).is_some(), good);
        }
    }

    #[test]
    fn what_is_written_goes_on_for_as_long_as_it_had() {
        let (mut sessions, start, here) = (Sessions::default(), Instant::now(), place("fd00::1:2:3:4"));
        let (idle, used) = (sessions.open(whose("ana"), here, start), sessions.open(whose("ben"), here, start));
        let later = start + SESSION_IDLE / 2;
        sessions.user(&used, here, later, true).unwrap();
        let text = serde_json::to_vec(&sessions.write(later, 1000)).unwrap();
        let read = |now: Instant, unix: u64| Sessions::of(serde_json::from_slice(&text).unwrap(), now, unix);
        // Another start: its clock has nothing to do with the one before.
        let start = later + 77 * SESSION_LIFE;
        let half = (SESSION_IDLE / 2).as_secs();
        let mut again = read(start, 1000 + half);
        assert_eq!((again.user(&idle, here, start, true), again.user(&used, here, start, true)), (None, Some(whose("ben"))));
        let mut again = read(start, 1000 + half - 1);
        assert_eq!(again.user(&idle, here, start, true), Some(whose("ana")));
        assert!(
            again.user(&used, place("192.168.1.7"), start, true).is_none()
                && again.user(&used, At { encrypted: true, ..here }, start, true).is_none()
        );
        let mut back = read(start, 3);
        assert!(back.user(&idle, here, start + SESSION_IDLE / 2 - SECOND, false).is_some());
        assert!(
            back.user(&idle, here, start + SESSION_IDLE / 2, false).is_none(),
            "a clock that went back gives nobody more than was left"
        );
        assert!(read(start, 1000 + SESSION_LIFE.as_secs()).all.is_empty());
    }

    #[test]
    fn of_a_file_that_somebody_wrote_no_more_is_taken_than_there_may_be() {
        let now = Instant::now();
        let one = |n: u8, hash: String| One {
            hash,
            whose: whose("ana"),
            place: [192, 168, 1, n].into(),
            encrypted: false,
            life_seconds: u64::MAX,
            idle_seconds: u64::MAX,
        };
        let good = (0..200).map(|n| one(n, HEXLOWER.encode(&[n; 32])));
        let bad = ["", "00", "zz", &"0".repeat(63), &"A".repeat(64)].map(|hash| one(1, hash.to_owned()));
        let read = Sessions::of(Written { at: 0, sessions: bad.into_iter().chain(good).collect() }, now, 0);
        assert_eq!(read.all.len(), SESSIONS_KEPT);
        assert!(read.all.values().all(|session| session.ends == now + SESSION_LIFE && session.idle_ends == now + SESSION_IDLE));
    }

    #[test]
    fn uses_are_written_now_and_then() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        assert!(!sessions.is_due(now), "there is none");
        sessions.open(whose("ana"), place("192.168.1.7"), now);
        sessions.write(now, 0);
        assert!(!sessions.is_due(now + SESSION_USES_EVERY - SECOND) && sessions.is_due(now + SESSION_USES_EVERY));
    }

    #[test]
    fn there_are_so_many_and_no_more_and_only_hashes() {
        let (mut sessions, start, here) = (Sessions::default(), Instant::now(), place("192.168.1.7"));
        let other = sessions.open(whose("ben"), here, start);
        let ids: Vec<Secret> = (0..20).map(|n| sessions.open(whose("ana"), here, start + n * SECOND)).collect();
        let now = start + 30 * SECOND;
        let alive = ids.iter().filter(|id| sessions.user(id, here, now, true).is_some()).count();
        assert_eq!(alive, SESSIONS_OF_ONE);
        assert!(sessions.user(&ids[19], here, now, true).is_some() && sessions.user(&other, here, now, true).is_some());
        assert_eq!(sessions.close_all_of("ana"), SESSIONS_OF_ONE);
        assert!(sessions.user(&ids[19], here, now, true).is_none());
        for n in 0..2 * SESSIONS_KEPT {
            sessions.open(whose(&format!("user{n}")), here, now);
        }
        assert_eq!(sessions.all.len(), SESSIONS_KEPT);
        let last = sessions.open(whose("last"), here, now);
        assert!(
            !sessions.all.contains_key(&<Hash>::try_from(data_encoding::BASE64URL_NOPAD.decode(last.text().as_bytes()).unwrap()).unwrap())
        );
        sessions.close(&last);
        assert!(sessions.user(&last, here, now, true).is_none());
    }
}
