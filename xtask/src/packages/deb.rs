//! Reads a `.deb` (deb(5), format 2.0): its control part into memory, and where its data part lies.
//!
//! Every size is bounded and nothing that a file says is believed before it is checked: a .deb is untrusted until its
//! hash was compared, and even then this must not panic.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::text::is_package_name;

/// The most that control.tar may unpack to (the largest in trixie is a few MiB).
const MAX_CONTROL_BYTES: u64 = 32 << 20;
/// The most memory that a decompressor may ask for: xz -9 asks for 65 MiB.
const MAX_DECODER_KIB: u32 = 256 << 10;
/// The most members of the outer archive: a .deb has three, and perhaps some whose names start with `_`.
const MAX_MEMBERS: usize = 16;

/// An opened package.
#[derive(Clone, Debug)]
pub struct Deb {
    /// The fields of its control file.
    pub control: ControlFields,
    /// The files of its control part but `control` itself, by name: (mode, content). `preinst`, `postinst`, `triggers`,
    /// `conffiles`, `md5sums`, `shlibs`, `templates`, `config` and the like.
    pub members: BTreeMap<String, (u32, Vec<u8>)>,
    /// The file that was opened.
    file: PathBuf,
    /// Where data.tar lies in it.
    data: Member,
}

/// A member of the outer archive.
#[derive(Clone, Debug)]
struct Member {
    offset: u64,
    len: u64,
    compression: Compression,
}

/// How a member is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

impl Deb {
    /// Reads the control part of the .deb at `path`.
    pub fn open(path: &Path) -> Result<Self> {
        Self::read(path).with_context(|| format!("failed to read the package {}", path.display()))
    }

    fn read(path: &Path) -> Result<Self> {
        let mut file = File::open(path)?;
        let (control, data) = parts(&mut file)?;
        let mut members = read_control(&mut file, &control)?;
        let (_, text) = members.remove("control").context("its control part holds no file `control`")?;
        let control = ControlFields::parse(&String::from_utf8(text).context("its control file is not UTF-8")?)?;
        if !is_package_name(control.package()) || control.version().is_empty() || control.architecture().is_empty() {
            bail!("its control file lacks a good Package, Version or Architecture");
        }
        Ok(Self { control, members, file: path.to_owned(), data })
    }

    /// The uncompressed data tar as a stream.
    pub fn data(&self) -> Result<Box<dyn Read>> {
        let file = File::open(&self.file).with_context(|| format!("failed to open {}", self.file.display()))?;
        reader(file, &self.data)
    }
}

/// Finds control and data in the outer archive.
fn parts(file: &mut File) -> Result<(Member, Member)> {
    let end = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut magic = [0; 8];
    file.read_exact(&mut magic).context("it is too short for a .deb")?;
    if &magic != b"!<arch>\n" {
        bail!("it is not a .deb: the archive's magic is missing");
    }
    let mut control = None;
    let mut data = None;
    let mut offset = 8_u64;
    for index in 0.. {
        if offset >= end {
            break;
        }
        if index >= MAX_MEMBERS {
            bail!("it has more than {MAX_MEMBERS} members");
        }
        file.seek(SeekFrom::Start(offset))?;
        let mut header = [0; 60];
        file.read_exact(&mut header).with_context(|| format!("the header at byte {offset} is cut"))?;
        let (name, len) = ar_header(&header).with_context(|| format!("the header at byte {offset} is broken"))?;
        let start = offset + 60;
        // `len` has at most ten digits, so this does not overflow.
        if start + len > end {
            bail!("its member {name} is cut: {len} bytes at {start}, but the file ends at {end}");
        }
        match (index, name.as_str()) {
            (0, "debian-binary") => {
                let mut version = String::new();
                Read::by_ref(file).take(len.min(16)).read_to_string(&mut version)?;
                if !version.starts_with("2.") {
                    bail!("it is of format {:?}, not 2.x", version.trim());
                }
            }
            (0, _) => bail!("its first member is {name}, not debian-binary"),
            (_, name) if name.starts_with("control.tar") && control.is_none() && data.is_none() => {
                control = Some(Member { offset: start, len, compression: compression(name, "control.tar")? });
            }
            (_, name) if name.starts_with("data.tar") && data.is_none() => {
                data = Some(Member { offset: start, len, compression: compression(name, "data.tar")? });
            }
            (_, name) if name.starts_with('_') => {}
            (_, name) => bail!("its member {name} is not expected there"),
        }
        offset = start + len + len % 2;
    }
    Ok((control.context("it has no control.tar")?, data.context("it has no data.tar")?))
}

/// Name and size of an ar header (60 bytes: name 16, time 12, owner 6, group 6, mode 8, size 10, end 2).
fn ar_header(header: &[u8; 60]) -> Result<(String, u64)> {
    let text = std::str::from_utf8(header).ok().filter(|text| text.is_ascii()).context("it is not ASCII")?;
    if !text.ends_with("`\n") {
        bail!("it does not end as an ar header does");
    }
    let name = text.get(..16).unwrap_or_default().trim_end().trim_end_matches('/');
    let size = text.get(48..58).unwrap_or_default().trim_end();
    if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_digit()) {
        bail!("its size {size:?} is not a number");
    }
    Ok((name.to_owned(), size.parse()?))
}

fn compression(name: &str, stem: &str) -> Result<Compression> {
    Ok(match name.strip_prefix(stem) {
        Some("") => Compression::None,
        Some(".gz") => Compression::Gzip,
        Some(".xz") => Compression::Xz,
        Some(".zst") => Compression::Zstd,
        _ => bail!("its member {name} is compressed in a way that is not known (xz, gz and zst are)"),
    })
}

/// The uncompressed bytes of a member.
fn reader(mut file: File, member: &Member) -> Result<Box<dyn Read>> {
    file.seek(SeekFrom::Start(member.offset))?;
    let packed: BufReader<Take<File>> = BufReader::with_capacity(1 << 16, file.take(member.len));
    Ok(match member.compression {
        Compression::None => Box::new(packed),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Compression::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(packed, true, MAX_DECODER_KIB)),
        Compression::Zstd => Box::new(
            ruzstd::decoding::StreamingDecoder::new_with_max_window_size(packed, u64::from(MAX_DECODER_KIB) << 10)
                .map_err(|error| anyhow::anyhow!("the zstd frame is broken: {error}"))?,
        ),
    })
}

fn read_control(file: &mut File, member: &Member) -> Result<BTreeMap<String, (u32, Vec<u8>)>> {
    let unpacked = reader(file.try_clone()?, member)?.take(MAX_CONTROL_BYTES + 1);
    let mut bytes = Vec::new();
    { unpacked }.read_to_end(&mut bytes).context("its control part can't be unpacked")?;
    if bytes.len() as u64 > MAX_CONTROL_BYTES {
        bail!("its control part unpacks to more than {MAX_CONTROL_BYTES} bytes");
    }
    let mut members = BTreeMap::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries()? {
        let mut entry = entry.context("its control tar is broken")?;
        let path = String::from_utf8(entry.path_bytes().into_owned()).context("a name in its control part is not UTF-8")?;
        let name = path.strip_prefix("./").unwrap_or(&path);
        match entry.header().entry_type() {
            tar::EntryType::Directory if name.is_empty() || name == "." => {}
            tar::EntryType::Regular if !name.is_empty() && !name.contains('/') && name != ".." => {
                let mode = entry.header().mode()? & 0o7777;
                let mut content = Vec::new();
                entry.read_to_end(&mut content)?;
                if members.insert(name.to_owned(), (mode, content)).is_some() {
                    bail!("its control part holds {name} twice");
                }
            }
            _ => bail!("its control part holds {path:?}, which does not belong there"),
        }
    }
    Ok(members)
}

/// The fields of a control stanza (deb822), by name without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlFields(BTreeMap<String, String>);

/// One alternative of a dependency: `name:arch (op version)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The package's name.
    pub name: String,
    /// What stands after the colon, `any` for instance.
    pub arch: Option<String>,
    /// Operator (`<<`, `<=`, `=`, `>=`, `>>`) and version.
    pub version: Option<(String, String)>,
}

impl ControlFields {
    /// Parses one stanza. Continuation lines are kept, joined by newlines.
    pub fn parse(text: &str) -> Result<Self> {
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        let mut last = None;
        for (number, line) in text.lines().enumerate() {
            if line.starts_with([' ', '\t']) {
                let field: &mut String =
                    last.as_ref().and_then(|name| fields.get_mut(name)).context("it starts with a continuation line")?;
                field.push('\n');
                field.push_str(line.trim());
            } else if !line.trim().is_empty() {
                let (name, value) =
                    line.split_once(':').with_context(|| format!("line {} of the control file has no colon", number + 1))?;
                let name = name.to_ascii_lowercase();
                if fields.insert(name.clone(), value.trim().to_owned()).is_some() {
                    bail!("the control file has the field {name} twice");
                }
                last = Some(name);
            }
        }
        Ok(Self(fields))
    }

    /// Sets a field.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_ascii_lowercase(), value.to_owned());
    }

    /// All fields: lower-case name, value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A field's value by its name in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// Package.
    pub fn package(&self) -> &str {
        self.get("Package").unwrap_or_default()
    }

    /// Version.
    pub fn version(&self) -> &str {
        self.get("Version").unwrap_or_default()
    }

    /// Architecture, or `all`.
    pub fn architecture(&self) -> &str {
        self.get("Architecture").unwrap_or_default()
    }

    /// Whether it is Essential.
    pub fn essential(&self) -> bool {
        self.get("Essential").is_some_and(|value| value.eq_ignore_ascii_case("yes"))
    }

    /// Multi-Arch: `same`, `foreign`, `allowed` or nothing.
    pub fn multi_arch(&self) -> Option<&str> {
        self.get("Multi-Arch").filter(|value| *value != "no")
    }

    /// Depends: all of the outer list are needed, one of each inner list is enough.
    pub fn depends(&self) -> Vec<Vec<Relation>> {
        self.relations("Depends")
    }

    /// Pre-Depends, as [`Self::depends`].
    pub fn pre_depends(&self) -> Vec<Vec<Relation>> {
        self.relations("Pre-Depends")
    }

    /// What it provides.
    pub fn provides(&self) -> Vec<Relation> {
        self.relations("Provides").into_iter().flatten().collect()
    }

    /// Any field of relations (Conflicts, Breaks, Replaces, …).
    pub fn relations(&self, field: &str) -> Vec<Vec<Relation>> {
        let groups = self.get(field).unwrap_or_default().split(',');
        groups.map(|group| group.split('|').filter_map(Relation::parse).collect::<Vec<_>>()).filter(|group| !group.is_empty()).collect()
    }
}

impl Relation {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (head, version) = match text.split_once('(') {
            Some((head, rest)) => (head, Some(rest.split(')').next().unwrap_or_default().trim())),
            None => (text.split(['[', '<']).next().unwrap_or_default(), None),
        };
        let head = head.trim();
        let (name, arch) = head.split_once(':').map_or((head, None), |(name, arch)| (name, Some(arch.to_owned())));
        let version = version.map(|version| {
            let cut = version.find(|c: char| !"<>=".contains(c)).unwrap_or(version.len());
            let (op, version) = version.split_at(cut);
            (op.to_owned(), version.trim().to_owned())
        });
        (!name.is_empty()).then(|| Self { name: name.to_owned(), arch, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_fields_and_relations() {
        let text = "Package: foo\nVersion: 1:2-3\nArchitecture: amd64\nEssential: yes\nMulti-Arch: same\nDescription: short\n long\n .\n\
                    Pre-Depends: libc6 (>= 2.41)\nDepends: a | b:any (<< 2~), c [amd64],\n d\nProvides: v (= 1)\n";
        let control = ControlFields::parse(text).unwrap();
        assert_eq!((control.package(), control.version(), control.architecture()), ("foo", "1:2-3", "amd64"));
        assert!(control.essential());
        assert_eq!(control.multi_arch(), Some("same"));
        assert_eq!(control.get("description"), Some("short\nlong\n."));
        let depends = control.depends();
        assert_eq!(depends.len(), 3);
        assert_eq!(
            depends[0][1],
            Relation { name: "b".to_owned(), arch: Some("any".to_owned()), version: Some(("<<".to_owned(), "2~".to_owned())) }
        );
        assert_eq!((depends[1][0].name.as_str(), depends[2][0].name.as_str()), ("c", "d"));
        assert_eq!(control.pre_depends()[0][0].version, Some((">=".to_owned(), "2.41".to_owned())));
        assert_eq!(control.provides()[0].name, "v");
        assert!(
            ControlFields::parse(" x\n").is_err() && ControlFields::parse("a: 1\nA: 2\n").is_err() && ControlFields::parse("x\n").is_err()
        );
    }
}
