//! `ids.lock`: the numbers of users and groups, append-only, so that a new package never renumbers the owners of what lies on data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::trees::Trees;

/// Where it lies, below the repo's root.
pub const FILE: &str = "images/ids.lock";

/// Users and groups in the lock's order: the words of passwd(5) without password, of group(5) without password and members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    users: Vec<User>,
    groups: Vec<Group>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
    /// Comment, home, shell: as passwd has them.
    rest: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    name: String,
    gid: u32,
}

impl Ids {
    /// Reads the locks of the checkout and of added trees, one after the other; a number or name that two of them give is refused.
    pub fn load(trees: &Trees) -> Result<Self> {
        let mut all = Self::default();
        for root in trees.roots() {
            let one = Self::load_one(root)?;
            all.users.extend(one.users);
            all.groups.extend(one.groups);
        }
        all.check_unique().context("the trees' numbers of users and groups do not go together")?;
        Ok(all)
    }

    /// Reads the lock of one tree.
    pub fn load_one(tree: &Path) -> Result<Self> {
        let path = tree.join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
        Self::parse(&text).with_context(|| format!("`{}` is not right", path.display()))
    }

    /// Parses `group:NAME:GID` and `user:NAME:UID:GID:COMMENT:HOME:SHELL` lines; `#` starts a comment.
    pub fn parse(text: &str) -> Result<Self> {
        let mut ids = Self::default();
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            ids.parse_line(line).with_context(|| format!("line {}: `{line}`", number + 1))?;
        }
        ids.check_unique()?;
        Ok(ids)
    }

    fn parse_line(&mut self, line: &str) -> Result<()> {
        let mut words = line.splitn(5, ':');
        let mut word = || words.next().context("a word is missing");
        match word()? {
            "group" => self.groups.push(Group { name: word()?.into(), gid: word()?.parse()? }),
            "user" => self.users.push(User { name: word()?.into(), uid: word()?.parse()?, gid: word()?.parse()?, rest: word()?.into() }),
            other => bail!("`{other}` is neither user nor group"),
        }
        Ok(())
    }

    fn check_unique(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        for (kind, name, id) in
            self.users.iter().map(|u| ("user", &u.name, u.uid)).chain(self.groups.iter().map(|g| ("group", &g.name, g.gid)))
        {
            if !seen.insert((kind, name.clone())) || !seen.insert((kind, id.to_string())) {
                bail!("{kind} {name} ({id}) stands twice, or shares its number");
            }
        }
        Ok(())
    }

    /// The lock's text.
    pub fn to_text(&self) -> String {
        let mut text =
            "# Numbers of users and groups. Only ever appended to: what lies on nodes' data is owned by these numbers.\n".to_owned();
        for group in &self.groups {
            let _ = writeln!(text, "group:{}:{}", group.name, group.gid);
        }
        for user in &self.users {
            let _ = writeln!(text, "user:{}:{}:{}:{}", user.name, user.uid, user.gid, user.rest);
        }
        text
    }

    /// Writes passwd and group into `etc`: base-passwd's masters (in `masters`) and then the lock's.
    pub fn preload(&self, masters: &Path, etc: &Path) -> Result<()> {
        let read = |name: &str| fs::read_to_string(masters.join(name)).with_context(|| format!("base-passwd ships no {name}"));
        let (mut passwd, mut group) = (read("passwd.master")?, read("group.master")?);
        for user in &self.users {
            let _ = writeln!(passwd, "{}:x:{}:{}:{}", user.name, user.uid, user.gid, user.rest);
        }
        for known in &self.groups {
            let _ = writeln!(group, "{}:x:{}:", known.name, known.gid);
        }
        fs::write(etc.join("passwd"), passwd)?;
        fs::write(etc.join("group"), group)?;
        Ok(())
    }

    /// Compares with a configured tree's passwd and group (`masters`: names that base-passwd brings): the users and groups that the lock
    /// doesn't know yet.
    ///
    /// # Errors
    /// When a known name has another number.
    pub fn news(&self, passwd: &str, group: &str, master_passwd: &str, master_group: &str) -> Result<Self> {
        let names = |text: &str| text.lines().filter_map(|line| line.split(':').next().map(str::to_owned)).collect::<BTreeSet<_>>();
        let (base_users, base_groups) = (names(master_passwd), names(master_group));
        let known_users: BTreeMap<_, _> = self.users.iter().map(|user| (user.name.as_str(), user.uid)).collect();
        let known_groups: BTreeMap<_, _> = self.groups.iter().map(|group| (group.name.as_str(), group.gid)).collect();
        let mut news = Self::default();
        for line in passwd.lines() {
            let [name, _, uid, gid, rest] = line.splitn(5, ':').collect::<Vec<_>>()[..] else { bail!("a bad line in passwd: `{line}`") };
            let uid: u32 = uid.parse()?;
            match known_users.get(name) {
                Some(known) if *known != uid => bail!("user {name} is {uid} in the tree and {known} in {FILE}"),
                Some(_) => {}
                None if base_users.contains(name) => {}
                None => news.users.push(User { name: name.into(), uid, gid: gid.parse()?, rest: rest.into() }),
            }
        }
        for line in group.lines() {
            let [name, _, gid, _] = line.splitn(4, ':').collect::<Vec<_>>()[..] else { bail!("a bad line in group: `{line}`") };
            let gid: u32 = gid.parse()?;
            match known_groups.get(name) {
                Some(known) if *known != gid => bail!("group {name} is {gid} in the tree and {known} in {FILE}"),
                Some(_) => {}
                None if base_groups.contains(name) => {}
                None => news.groups.push(Group { name: name.into(), gid }),
            }
        }
        Ok(news)
    }

    /// Whether it names nobody.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    /// Its names, for a message.
    pub fn names(&self) -> String {
        let users = self.users.iter().map(|user| format!("user {}", user.name));
        users.chain(self.groups.iter().map(|group| format!("group {}", group.name))).collect::<Vec<_>>().join(", ")
    }

    /// This lock with `news` at the end.
    pub fn extended(mut self, news: Self) -> Result<Self> {
        self.users.extend(news.users);
        self.groups.extend(news.groups);
        self.check_unique()?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "group:docker:990\nuser:polkitd:991:991:polkit,,,:/nonexistent:/usr/sbin/nologin\n";

    #[test]
    fn text_and_value_agree() {
        let ids = Ids::parse(LOCK).unwrap();
        assert_eq!(Ids::parse(&ids.to_text()).unwrap(), ids);
    }

    #[test]
    fn a_number_given_twice_is_refused() {
        let error = Ids::parse("group:a:5\ngroup:b:5\n").unwrap_err();
        assert!(format!("{error:#}").contains("group b (5)"), "{error:#}");
    }

    #[test]
    fn a_renumbered_user_is_an_error_and_a_new_one_is_news() {
        let ids = Ids::parse(LOCK).unwrap();
        let passwd = "root:x:0:0:root:/root:/bin/bash\npolkitd:x:991:991:polkit,,,:/nonexistent:/usr/sbin/nologin\nsshd:x:992:65534::/run/sshd:/usr/sbin/nologin\n";
        let group = "root:x:0:\ndocker:x:990:\n";
        let news = ids.news(passwd, group, "root:*:0:0:::\n", "root:*:0:\n").unwrap();
        assert_eq!(news.names(), "user sshd");
        let moved = passwd.replace("991:991", "995:995");
        assert!(ids.news(&moved, group, "root:*:0:0:::\n", "root:*:0:\n").is_err());
        assert_eq!(ids.extended(news).unwrap().users.len(), 2);
    }
}
