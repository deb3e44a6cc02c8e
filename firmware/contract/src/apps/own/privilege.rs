//! What an app of a person's own may ask for beyond its containers, each by a name of its own that an owner may grant; and what nobody may.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::names;

/// Something that reaches outside of an app's containers. An owner allows it by name, for one app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Privilege {
    /// All of the machine: no confinement at all.
    Privileged,
    /// The node's own network.
    HostNetwork,
    /// All processes of the node.
    HostPid,
    /// Memory shared between the node's processes.
    HostIpc,
    /// A folder or file of the node.
    HostPath(String),
    /// The same, only to read.
    HostPathRead(String),
    /// A device of the node.
    Device(String),
    /// A capability beyond those that Docker gives to everybody.
    Capability(String),
    /// A setting of the kernel: its name and value.
    Sysctl(String, String),
    /// A confinement that is taken away.
    SecurityOpt(String),
}

/// A privilege that nobody can allow, or that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPrivilege(String);

/// Folders of the node below which an app may be given some. All others hold the system, its keys, or other apps' data.
const PLACES: [&str; 6] = ["/home", "/media", "/mnt", "/opt", "/srv", "/var/local"];

/// Devices that an app may be given: beginnings of paths, those with a slash at their end being folders. Disks and memory are none of
/// them: who has one has the node's keys.
const DEVICES: [&str; 31] = [
    "/dev/apex_",
    "/dev/bus/usb",
    "/dev/cec",
    "/dev/dri",
    "/dev/dvb",
    "/dev/fuse",
    "/dev/gpiochip",
    "/dev/gpiomem",
    "/dev/hailo",
    "/dev/hidraw",
    "/dev/i2c-",
    "/dev/input",
    "/dev/kvm",
    "/dev/media",
    "/dev/net/tun",
    "/dev/nvidia",
    "/dev/pps",
    "/dev/ptp",
    "/dev/rfkill",
    "/dev/serial/by-id/",
    "/dev/snd",
    "/dev/spidev",
    "/dev/ttyACM",
    "/dev/ttyAMA",
    "/dev/ttyS",
    "/dev/ttyUSB",
    "/dev/uinput",
    "/dev/v4l/by-id/",
    "/dev/vchiq",
    "/dev/vcio",
    "/dev/video",
];

/// Capabilities that the kernel knows and Docker does not give by itself.
const CAPABILITIES: [&str; 27] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "DAC_READ_SEARCH",
    "IPC_LOCK",
    "IPC_OWNER",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "NET_ADMIN",
    "NET_BROADCAST",
    "PERFMON",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Capabilities that Docker gives to every container: none of them reaches outside.
pub const USUAL: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Confinements that may be taken away. A profile in a file is never one: compose would read it.
const SECURITY_OPTS: [&str; 4] = ["apparmor=unconfined", "label=disable", "seccomp=unconfined", "systempaths=unconfined"];

/// Why no app is given this folder or file of the node, whoever allows it; nothing where an owner may.
pub fn path_refused(path: &str) -> Option<String> {
    if !names::is_path(path) {
        return Some(format!("`{}` is no absolute path of plain characters, without `..`", path.escape_default()));
    }
    let below = |place: &str| path == place || path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'));
    if !PLACES.iter().any(|place| below(place)) {
        return Some(format!(
            "`{path}` is the system's own: no app is given it, whoever allows it; folders below {} can be allowed by an owner",
            PLACES.join(", ")
        ));
    }
    // Who logs in has keys and programs there.
    let hidden = path.split('/').any(|part| part.starts_with('.'));
    if below("/home") && (hidden || path.split('/').count() < 4) {
        return Some(format!(
            "`{path}` holds what people log in with: no app is given it; a folder such as `/home/NAME/music` can be allowed"
        ));
    }
    None
}

fn device_refused(path: &str) -> Option<String> {
    let known = DEVICES.iter().any(|start| path.strip_prefix(start).is_some_and(|rest| !start.ends_with('/') || !rest.is_empty()));
    if names::is_path(path) && known {
        return None;
    }
    let path = path.escape_default();
    Some(format!("`{path}` is no device that an app may be given, whoever allows it: disks, memory and /dev as a whole are the node's own"))
}

/// A capability as the kernel's names are written without `CAP_`.
pub fn capability(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    name.strip_prefix("CAP_").unwrap_or(&name).to_owned()
}

impl Privilege {
    /// A folder or file of the node.
    pub fn path(path: &str, read_only: bool) -> Result<Self, BadPrivilege> {
        match path_refused(path) {
            Some(why) => Err(BadPrivilege(why)),
            None if read_only => Ok(Self::HostPathRead(path.to_owned())),
            None => Ok(Self::HostPath(path.to_owned())),
        }
    }

    /// A device of the node.
    pub fn device(path: &str) -> Result<Self, BadPrivilege> {
        device_refused(path).map_or_else(|| Ok(Self::Device(path.to_owned())), |why| Err(BadPrivilege(why)))
    }

    /// A capability; nothing where it is one of those that everybody has.
    pub fn capability(name: &str) -> Result<Option<Self>, BadPrivilege> {
        let name = capability(name);
        if USUAL.contains(&name.as_str()) {
            return Ok(None);
        }
        if CAPABILITIES.contains(&name.as_str()) {
            return Ok(Some(Self::Capability(name)));
        }
        let name = name.escape_default();
        Err(BadPrivilege(format!("`{name}` is no capability: name each, such as `NET_ADMIN`; `ALL` is what `privileged` is")))
    }

    /// A setting of the kernel, in the namespaces of a container.
    pub fn sysctl(name: &str, value: &str) -> Result<Self, BadPrivilege> {
        let part = |text: &str, more: &[u8]| {
            (1..=100).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || more.contains(&c))
        };
        let known = ["net.", "fs.mqueue.", "kernel.msg", "kernel.sem", "kernel.shm"].iter().any(|start| name.starts_with(start));
        if known && part(name, b"._-") && part(value, b" ._-") {
            return Ok(Self::Sysctl(name.to_owned(), value.to_owned()));
        }
        let name = name.escape_default();
        Err(BadPrivilege(format!(
            "`{name}` is no setting of the kernel that a container has for itself (`net.…`, `fs.mqueue.…`, `kernel.shm…`)"
        )))
    }

    /// A confinement that is taken away; nothing where one is added.
    pub fn security_opt(text: &str) -> Result<Option<Self>, BadPrivilege> {
        let text = text.replacen(':', "=", 1);
        if matches!(text.as_str(), "no-new-privileges" | "no-new-privileges=true") {
            return Ok(None);
        }
        if SECURITY_OPTS.contains(&text.as_str()) {
            return Ok(Some(Self::SecurityOpt(text)));
        }
        let text = text.escape_default();
        Err(BadPrivilege(format!("`{text}` is none of no-new-privileges, {}: files with profiles are not read", SECURITY_OPTS.join(", "))))
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Privileged => f.write_str("privileged"),
            Self::HostNetwork => f.write_str("host-network"),
            Self::HostPid => f.write_str("host-pid"),
            Self::HostIpc => f.write_str("host-ipc"),
            Self::HostPath(path) => write!(f, "host-path={path}"),
            Self::HostPathRead(path) => write!(f, "host-path-read={path}"),
            Self::Device(path) => write!(f, "device={path}"),
            Self::Capability(name) => write!(f, "cap-add={name}"),
            Self::Sysctl(name, value) => write!(f, "sysctl={name}={value}"),
            Self::SecurityOpt(text) => write!(f, "security-opt={text}"),
        }
    }
}

impl FromStr for Privilege {
    type Err = BadPrivilege;

    fn from_str(text: &str) -> Result<Self, BadPrivilege> {
        let unknown = || {
            BadPrivilege(format!(
                "`{}` is no privilege: privileged, host-network, host-pid, host-ipc, host-path=PATH, host-path-read=PATH, device=PATH, \
                 cap-add=NAME, sysctl=NAME=VALUE, security-opt=TEXT",
                text.escape_default()
            ))
        };
        let (kind, what) = text.split_once('=').map_or((text, None), |(kind, what)| (kind, Some(what)));
        match (kind, what) {
            ("privileged", None) => Ok(Self::Privileged),
            ("host-network", None) => Ok(Self::HostNetwork),
            ("host-pid", None) => Ok(Self::HostPid),
            ("host-ipc", None) => Ok(Self::HostIpc),
            ("host-path", Some(path)) => Self::path(path, false),
            ("host-path-read", Some(path)) => Self::path(path, true),
            ("device", Some(path)) => Self::device(path),
            ("cap-add", Some(name)) => Self::capability(name)?.ok_or_else(unknown),
            ("sysctl", Some(setting)) => {
                let (name, value) = setting.split_once('=').ok_or_else(unknown)?;
                Self::sysctl(name, value)
            }
            ("security-opt", Some(text)) => Self::security_opt(text)?.ok_or_else(unknown),
            _ => Err(unknown()),
        }
    }
}

impl TryFrom<String> for Privilege {
    type Error = BadPrivilege;

    fn try_from(text: String) -> Result<Self, BadPrivilege> {
        text.parse()
    }
}

impl From<Privilege> for String {
    fn from(privilege: Privilege) -> Self {
        privilege.to_string()
    }
}
