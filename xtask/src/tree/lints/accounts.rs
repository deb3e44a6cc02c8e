//! Rules on users, groups and passwords.

use std::collections::BTreeSet;

use super::{LintError, Subject};

type Found = Result<Vec<String>, LintError>;

/// A field of a file of lines with colons (passwd(5), group(5), shadow(5)), with the line's first field.
fn fields(text: &str, index: usize) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(move |line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some((name, fields.nth(index - 1)?))
    })
}

pub fn owners(subject: &Subject<'_>) -> Found {
    let ids = |path: &str| -> Result<BTreeSet<u32>, LintError> {
        let text = subject.text(path)?.unwrap_or_default();
        Ok(fields(&text, 2).filter_map(|(_, id)| id.parse().ok()).collect())
    };
    let (users, groups) = (ids("etc/passwd")?, ids("etc/group")?);
    let mut found = Vec::new();
    for (path, entry) in subject.tree.iter() {
        if !users.contains(&entry.uid) {
            found.push(format!("/{path} belongs to user {}, whom /etc/passwd does not name", entry.uid));
        }
        if !groups.contains(&entry.gid) {
            found.push(format!("/{path} belongs to group {}, which /etc/group does not name", entry.gid));
        }
    }
    Ok(found)
}

pub fn passwords(subject: &Subject<'_>) -> Found {
    let mut found = Vec::new();
    for path in ["etc/passwd", "etc/shadow"] {
        let text = subject.text(path)?.unwrap_or_default();
        for (name, password) in fields(&text, 1) {
            // `x`: it stands in shadow. What begins with `!` or `*` no password hashes to.
            if password != "x" && !password.starts_with(['!', '*']) {
                let what = if password.is_empty() { "an empty password" } else { "a password" };
                found.push(format!("{name} has {what} in /{path}"));
            }
        }
    }
    Ok(found)
}
