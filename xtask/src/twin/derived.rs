//! Files that maintainer scripts make from files that packages ship: carried over only if the target ships the same sources.

use anyhow::{Context, Result, bail};

use crate::board::Globs;
use crate::tree::{Entry, Kind, Origin, Tree};

use super::rewrite::Rewrite;

/// What a source is compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// Its whole text, rewritten.
    Content,
    /// The `[Install]` section of a unit: all that enabling reads of it.
    Install,
}

/// What is made from what.
struct Derived {
    /// Globs of the delta's paths.
    made: &'static [&'static str],
    /// Globs of shipped paths.
    from: &'static [&'static str],
    by: By,
    /// Whether what is made is data of no architecture, though it is no text. All our architectures are little-endian.
    binary: bool,
    what: &'static str,
}

const DERIVED: &[Derived] = &[
    Derived {
        made: &["/etc/ssl/certs/**", "/etc/ca-certificates.conf"],
        from: &["/usr/share/ca-certificates/**"],
        by: By::Content,
        binary: false,
        what: "the list of certificates",
    },
    Derived {
        made: &["/usr/lib/udev/hwdb.bin"],
        from: &["/usr/lib/udev/hwdb.d/**"],
        by: By::Content,
        binary: true,
        what: "udev's database of hardware",
    },
    Derived {
        made: &["/var/lib/systemd/catalog/database"],
        from: &["/usr/lib/systemd/catalog/**"],
        by: By::Content,
        binary: true,
        what: "the journal's catalog",
    },
    Derived {
        made: &["/etc/pam.d/common-*", "/var/lib/pam/**"],
        from: &["/usr/share/pam-configs/**", "/usr/share/pam/**"],
        by: By::Content,
        binary: false,
        what: "PAM's common files",
    },
    Derived {
        made: &["/etc/shells", "/var/lib/shells.state"],
        from: &["/usr/share/debianutils/shells", "/usr/share/debianutils/shells.d/**"],
        by: By::Content,
        binary: false,
        what: "the list of shells",
    },
    Derived {
        made: &["/etc/{passwd,group,shadow,gshadow}"],
        from: &["/usr/share/base-passwd/**", "/usr/lib/sysusers.d/**"],
        by: By::Content,
        binary: false,
        what: "users and groups",
    },
    Derived {
        made: &["/etc/nsswitch.conf"],
        from: &["/usr/share/libc-bin/nsswitch.conf"],
        by: By::Content,
        binary: false,
        what: "the name service's order",
    },
    Derived {
        made: &["/var/lib/ucf/{hashfile,cache/*sshd_config}", "/etc/ssh/sshd_config"],
        from: &["/usr/share/openssh/sshd_config"],
        by: By::Content,
        binary: false,
        what: "sshd's configuration and its checksum",
    },
    Derived {
        made: &["/etc/xml/**", "/var/lib/{xml-core,sgml-base}/**"],
        from: &["/usr/share/xml/**", "/usr/share/sgml/**"],
        by: By::Content,
        binary: false,
        what: "the XML catalogs",
    },
    Derived {
        made: &["/etc/systemd/{system,user}/**", "/var/lib/systemd/deb-systemd*/**"],
        from: &["/usr/lib/systemd/{system,user}/**"],
        by: By::Install,
        binary: false,
        what: "which units are enabled",
    },
];

/// Whether a path of the delta that is no text may be carried over.
pub fn is_portable_binary(path: &str) -> Result<bool> {
    for rule in DERIVED.iter().filter(|rule| rule.binary) {
        if globs(rule.made)?.any(path) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Checks each rule whose product is among `made` (paths of the delta without a leading slash).
///
/// # Errors
/// The first source that differs, with the packages that ship it.
pub fn check<'p>(made: impl Iterator<Item = &'p str> + Clone, twin: &Tree, target: &Tree, rewrite: Rewrite) -> Result<()> {
    for rule in DERIVED {
        let products = globs(rule.made)?;
        let Some(product) = made.clone().find(|path| products.any(path)) else { continue };
        let sources = globs(rule.from)?;
        let target_only = target.iter().filter(|(path, _)| twin.get(path).is_none());
        let all = twin.iter().chain(target_only).map(|(path, _)| path).filter(|path| sources.any(path));
        for path in all {
            let (there, here) = (twin.get(path), target.get(path));
            if plainly_same(there, here)? {
                continue;
            }
            if value(there, rule.by, rewrite)? != value(here, rule.by, rewrite)? {
                bail!(
                    "/{product} ({}) is made from /{path}, which differs: {} in the twin, {} on the target; lock both architectures to one version of \
                     that package (`cargo xtask lock --update NAME`)",
                    rule.what,
                    origin(there),
                    origin(here)
                );
            }
        }
    }
    Ok(())
}

fn globs(patterns: &[&str]) -> Result<Anchored> {
    let globs = Globs::new(patterns).map_err(|(_, error)| error).context("a rule of the twin has a bad glob")?;
    Ok(Anchored(globs))
}

/// Globs over absolute paths, asked with paths that have no leading slash.
struct Anchored(Globs);

impl Anchored {
    fn any(&self, path: &str) -> bool {
        self.0.matches(&format!("/{path}"))
    }
}

/// Who ships it, for an error.
fn origin(entry: Option<&Entry>) -> String {
    match entry.map(|entry| &entry.origin) {
        Some(Origin::Package { name, version }) => format!("from {name} {version}"),
        Some(other) => other.to_string(),
        None => "nothing there".to_owned(),
    }
}

/// Whether both sides ship the same bytes, so that nothing has to be rewritten and compared.
fn plainly_same(there: Option<&Entry>, here: Option<&Entry>) -> Result<bool> {
    let (Some(Kind::File(there)), Some(Kind::File(here))) = (there.map(|entry| &entry.kind), here.map(|entry| &entry.kind)) else {
        return Ok(false);
    };
    Ok(there.same_place(here) || (there.len() == here.len() && there.read()? == here.read()?))
}

/// What an entry is to a rule; the same for what has no say in it.
fn value(entry: Option<&Entry>, by: By, rewrite: Rewrite) -> Result<Option<String>> {
    let text = match entry.map(|entry| &entry.kind) {
        Some(Kind::File(content)) => match String::from_utf8(content.read()?.to_vec()) {
            Ok(text) => rewrite.text(&text),
            Err(bytes) => format!("{:?}", bytes.as_bytes()),
        },
        Some(Kind::Symlink(to)) => format!("→ {}", rewrite.text(to)),
        _ => return Ok(None),
    };
    Ok(match by {
        By::Content => Some(text),
        By::Install => Some(install_section(&text)).filter(|section| !section.is_empty()),
    })
}

/// The `[Install]` section of a unit, without comments; a link is wholly what it says.
fn install_section(unit: &str) -> String {
    if unit.starts_with("→ ") {
        return String::new();
    }
    let mut inside = false;
    let mut section = String::new();
    for line in unit.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[Install]";
        } else if inside && !line.is_empty() && !line.starts_with(['#', ';']) {
            section.push_str(line);
            section.push('\n');
        }
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Arch;
    use crate::tree::testing::{file, tree};

    const REWRITE: fn() -> Rewrite = || Rewrite::new(Arch::Amd64, Arch::Armhf);

    #[test]
    fn certificates_from_another_list_are_refused_and_named() {
        let crt = "usr/share/ca-certificates/mozilla/A.crt";
        let twin = tree(&[(crt, file("one"))]);
        let made = ["etc/ssl/certs/ca-certificates.crt"];
        assert!(check(made.into_iter(), &twin, &twin, REWRITE()).is_ok());
        for other in
            [tree(&[(crt, file("two"))]), tree(&[]), tree(&[(crt, file("one")), ("usr/share/ca-certificates/mozilla/B.crt", file("x"))])]
        {
            let error = check(made.into_iter(), &twin, &other, REWRITE()).unwrap_err().to_string();
            assert!(
                error.starts_with("/etc/ssl/certs/ca-certificates.crt (the list of certificates) is made from /usr/share/ca-certificates/"),
                "{error}"
            );
            // What is not made is not asked about.
            assert!(check(["etc/hosts"].into_iter(), &twin, &other, REWRITE()).is_ok());
        }
    }

    #[test]
    fn a_unit_counts_by_what_enabling_reads() {
        let path = "usr/lib/systemd/system/a.service";
        let unit =
            |more: &str, install: &str| tree(&[(path, file(format!("[Service]\nExecStart=/bin/{more}\n[Install]\n# c\n{install}")))]);
        let made = ["etc/systemd/system/multi-user.target.wants/a.service"];
        let twin = unit("a", "WantedBy=multi-user.target\n");
        assert!(check(made.into_iter(), &twin, &unit("b", "WantedBy=multi-user.target\n"), REWRITE()).is_ok());
        let error = check(made.into_iter(), &twin, &unit("a", "WantedBy=sysinit.target\n"), REWRITE()).unwrap_err();
        assert!(error.to_string().contains("which units are enabled"), "{error}");
        // One more unit that nothing enables is none.
        let more =
            tree(&[(path, file("[Install]\nWantedBy=multi-user.target\n")), ("usr/lib/systemd/system/b.service", file("[Service]\n"))]);
        assert!(check(made.into_iter(), &twin, &more, REWRITE()).is_ok());
    }

    #[test]
    fn binaries_are_portable_by_name_alone() {
        assert!(is_portable_binary("usr/lib/udev/hwdb.bin").unwrap());
        assert!(!is_portable_binary("var/lib/x/index.db").unwrap());
        assert!(!is_portable_binary("etc/ssl/certs/x").unwrap());
    }
}
