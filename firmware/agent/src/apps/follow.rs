//! What apps say, as they say it: one looks at an app for all who follow it, and only while somebody does.

use super::{Apps, Refused};
use crate::broker::{Heard, Request, Said};
use crate::limits::{FOLLOW_AGAIN, FOLLOW_EVERY, LOG_MAX_BYTES, LOG_MAX_LINES};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// What an app has said since the last news.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct LogNews {
    /// The lines, the newest at the end; of an app of several containers under their names.
    pub lines: Vec<String>,
    /// Whether these are its last lines, before which nothing was told.
    pub first: bool,
    /// Whether it has said more than was told, and more than is known now.
    pub missed: bool,
    /// Why nothing more is known now; it is looked at again.
    pub unknown: Option<String>,
}

/// The last of what an app has said. Every line has a number.
#[derive(Default)]
struct Held {
    lines: VecDeque<String>,
    bytes: usize,
    /// The number of the oldest that is held.
    oldest: u64,
    /// Whether it was looked at.
    looked: bool,
    unknown: Option<String>,
}

impl Held {
    fn end(&self) -> u64 {
        self.oldest + u64::try_from(self.lines.len()).unwrap_or(0)
    }

    /// Takes what is new; whether anything is.
    fn take(&mut self, found: Result<Said, String>) -> bool {
        let news = !self.looked;
        self.looked = true;
        match found {
            Ok(said) => {
                let again = self.unknown.take().is_some();
                let news = news || again || said.missed || !said.lines.is_empty();
                if said.missed {
                    // As if one more had been held and were gone.
                    self.oldest = self.end() + 1;
                    self.lines.clear();
                    self.bytes = 0;
                }
                said.lines.into_iter().for_each(|line| self.push(line));
                news
            }
            Err(why) => {
                let why = Some(why);
                std::mem::replace(&mut self.unknown, why.clone()) != why || news
            }
        }
    }

    fn push(&mut self, line: String) {
        self.bytes += line.len() + 1;
        self.lines.push_back(line);
        let most = usize::try_from(LOG_MAX_LINES).unwrap_or(usize::MAX);
        while self.bytes > LOG_MAX_BYTES || self.lines.len() > most {
            let Some(gone) = self.lines.pop_front() else { return };
            self.bytes -= gone.len() + 1;
            self.oldest += 1;
        }
    }
}

/// Somebody who follows an app.
pub struct Following {
    held: watch::Receiver<Held>,
    /// The number of the line that comes next; at first so many of the last.
    next: Result<u64, u32>,
    unknown: Option<String>,
}

impl Following {
    /// What is new, once something is; nothing when the app is there no more.
    pub async fn next(&mut self) -> Option<LogNews> {
        loop {
            if let Some(news) = self.news() {
                return Some(news);
            }
            self.held.changed().await.ok()?;
        }
    }

    fn news(&mut self) -> Option<LogNews> {
        let held = self.held.borrow_and_update();
        if !held.looked {
            return None;
        }
        let from = self.next.unwrap_or_else(|lines| held.end().saturating_sub(lines.into())).max(held.oldest);
        let (first, missed) = (self.next.is_err(), self.next.is_ok_and(|next| next < held.oldest));
        if !first && !missed && from == held.end() && self.unknown == held.unknown {
            return None;
        }
        let skip = usize::try_from(from - held.oldest).unwrap_or(usize::MAX);
        let lines = held.lines.iter().skip(skip).cloned().collect();
        self.next = Ok(held.end());
        self.unknown.clone_from(&held.unknown);
        Some(LogNews { lines, first, missed, unknown: self.unknown.clone() })
    }
}

/// Apps that are followed.
#[derive(Default)]
pub struct Followed(Mutex<BTreeMap<String, Arc<watch::Sender<Held>>>>);

impl Followed {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Arc<watch::Sender<Held>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One who follows it, and what is found out for all who do where this is the first of them.
    fn join(&self, app: &str, lines: u32) -> (Following, Option<Arc<watch::Sender<Held>>>) {
        let mut all = self.all();
        let new = !all.contains_key(app);
        let held = all.entry(app.to_owned()).or_insert_with(|| Arc::new(watch::Sender::new(Held::default())));
        (Following { held: held.subscribe(), next: Err(lines), unknown: None }, new.then(|| Arc::clone(held)))
    }

    /// Whether nobody follows it any more, or it is not there: then nothing is held of it any more.
    fn ends(&self, app: &str, there: bool) -> bool {
        let mut all = self.all();
        let ends = !there || all.get(app).is_none_or(|held| held.receiver_count() == 0);
        if ends {
            all.remove(app);
        }
        ends
    }
}

impl Apps {
    /// What an app says from now on, after its last `lines`.
    ///
    /// # Errors
    /// It is not installed.
    pub fn follow(self: &Arc<Self>, app: &str, lines: u32) -> Result<Following, Refused> {
        if !self.kept().apps.contains_key(app) {
            return Err(Refused::NotInstalled(app.to_owned()));
        }
        let (following, first) = self.followed.join(app, lines);
        if let Some(held) = first {
            tokio::spawn(listen(Arc::clone(self), app.to_owned(), held));
        }
        Ok(following)
    }
}

/// Looks again and again at what an app says, until nobody follows it.
async fn listen(apps: Arc<Apps>, app: String, held: Arc<watch::Sender<Held>>) {
    let mut heard = Heard::new();
    loop {
        let request = Request::Since { app: app.clone(), heard: heard.clone() };
        let found = apps.ask_docker::<Said>(&request).await;
        let pause = if found.is_ok() { FOLLOW_EVERY } else { FOLLOW_AGAIN };
        let found = found.map(|mut said| {
            heard = std::mem::take(&mut said.heard);
            said
        });
        held.send_if_modified(|held| held.take(found));
        tokio::time::sleep(pause).await;
        let there = apps.kept().apps.contains_key(&app);
        if apps.followed.ends(&app, there) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Played, over, wish};
    use super::*;
    use crate::revision::Expected;
    use serde_json::json;
    use std::time::Duration;

    fn said(lines: &[&str], missed: bool) -> Result<Said, String> {
        Ok(Said { lines: lines.iter().map(|line| (*line).to_owned()).collect(), missed, ..Said::default() })
    }

    fn following(sender: &watch::Sender<Held>, lines: u32) -> Following {
        Following { held: sender.subscribe(), next: Err(lines), unknown: None }
    }

    #[test]
    fn each_who_follows_is_told_each_line_once_and_what_was_missed() {
        let sender = watch::Sender::new(Held::default());
        let take = |found| sender.send_if_modified(|held| held.take(found));
        let (mut early, mut none) = (following(&sender, 2), following(&sender, 0));
        assert_eq!(early.news(), None, "nobody looked yet");
        assert!(take(said(&["a", "b", "c"], false)) && !take(said(&[], false)));
        let first = early.news().unwrap();
        assert_eq!((first.lines, first.first, first.missed), (vec!["b".to_owned(), "c".to_owned()], true, false));
        assert_eq!(none.news().unwrap(), LogNews { first: true, ..LogNews::default() });
        assert_eq!(early.news(), None);
        take(said(&["d"], false));
        assert_eq!(early.news().unwrap(), LogNews { lines: vec!["d".to_owned()], ..LogNews::default() });
        // What Docker could not give is missed by all; what was more than is held, by who is slow.
        take(said(&["z"], true));
        let news = early.news().unwrap();
        assert_eq!((news.lines.as_slice(), news.missed), (["z".to_owned()].as_slice(), true));
        let most = usize::try_from(LOG_MAX_LINES).unwrap();
        for _ in 0..most + 5 {
            take(said(&["more"], false));
        }
        let news = early.news().unwrap();
        assert!(news.missed && news.lines.len() == most && early.news().is_none());
        take(said(&["x".repeat(LOG_MAX_BYTES / 2).as_str(), "y".repeat(LOG_MAX_BYTES / 2).as_str()], false));
        assert!(sender.borrow().bytes <= LOG_MAX_BYTES && sender.borrow().lines.len() == 1, "bytes have an end");
        let news = early.news().unwrap();
        assert!(news.missed && news.lines[0].starts_with('y'));
        // That Docker can't be asked is said once, and that it can again.
        assert!(take(Err("no".to_owned())) && !take(Err("no".to_owned())));
        assert_eq!(early.news().unwrap().unknown.as_deref(), Some("no"));
        assert!(early.news().is_none() && take(said(&[], false)));
        assert_eq!(early.news().unwrap(), LogNews::default());
        take(Err("no".to_owned()));
        take(said(&["again"], false));
        assert_eq!(early.news().unwrap(), LogNews { lines: vec!["again".to_owned()], ..LogNews::default() });
    }

    fn answer(lines: &[&str]) -> serde_json::Value {
        json!({ "done": { "lines": lines, "missed": false, "heard": { "id": { "at": "t", "lines": 1 } } } })
    }

    #[tokio::test]
    async fn one_looks_for_all_who_follow_an_app_and_only_while_somebody_does() {
        let mut played = Played::start();
        let apps = played.with_app();
        assert!(matches!(apps.follow("broker", 5), Err(Refused::NotInstalled(_))));
        let job = apps.install("broker", wish()).unwrap();
        assert_eq!(over(&apps, job.id).await.state, "done");
        played.words();
        played.answer("since", answer(&["one", "two"]));
        let (mut ana, mut ben) = (apps.follow("broker", 1).unwrap(), apps.follow("broker", 5).unwrap());
        assert_eq!(ana.next().await.unwrap().lines, ["two"]);
        assert_eq!(ben.next().await.unwrap().lines, ["one", "two"]);
        let asked = played.asked().await;
        assert_eq!((&asked["request"], &asked["heard"]), (&json!("since"), &json!({})));
        let asked = played.asked().await;
        assert_eq!(asked["heard"]["id"]["at"], "t", "the next look goes on where the last one ended");
        played.answer("since", answer(&["three"]));
        for one in [&mut ana, &mut ben] {
            assert_eq!(one.next().await.unwrap().lines, ["three"]);
        }
        assert_eq!(apps.followed.all().len(), 1);
        drop((ana, ben));
        let unheld = async {
            while !apps.followed.all().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), unheld).await.unwrap();
        played.words();
        tokio::time::sleep(FOLLOW_EVERY * 10).await;
        assert!(played.words().is_empty(), "nobody looks where nobody follows");
        // Who follows an app that goes hears no more.
        let mut last = apps.follow("broker", 5).unwrap();
        assert!(last.next().await.unwrap().first);
        let job = apps.remove("broker", true, &Expected::anything()).unwrap();
        assert_eq!(over(&apps, job.id).await.state, "done");
        let end = tokio::time::timeout(Duration::from_secs(60), async { while last.next().await.is_some() {} });
        end.await.unwrap();
        assert!(apps.followed.all().is_empty());
    }
}
