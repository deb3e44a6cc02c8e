//! mmdebstrap with qemu-user: how others configure packages for an ARM board. Here it is a reference and a peer, never a part of a build.
//!
//! The handler that runs ARM programs is registered in a user namespace of its own (Linux 6.7 and later keep one list for each), so that
//! nothing of it is seen outside.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::archive::{self, SUITE};
use crate::board::Arch;
use crate::packages::lock::LockedPackage;
use crate::sandbox::{Owners, Sandbox};
use crate::stages::Workshop;
use crate::tools::{self, Tools};
use crate::twin::ids::Ids;

/// The start of an ELF file of an architecture and the mask that it is compared under, as binfmt_misc takes them; QEMU's own scripts have
/// the same: class, byte order and machine count, the ABI's version does not.
fn magic(arch: Arch) -> Result<(&'static str, &'static str, &'static str)> {
    const MASK: &str = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";
    match arch {
        Arch::Amd64 => bail!("amd64 is run natively here: there is nothing to emulate"),
        Arch::Arm64 => Ok(("qemu-aarch64", r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00", MASK)),
        Arch::Armhf => Ok(("qemu-arm", r"\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x28\x00", MASK)),
    }
}

/// Makes the namespace, registers the handler in it and becomes mmdebstrap. `$1`: handler's name, `$2`: its line; the rest are mmdebstrap's.
const SCRIPT: &str = r#"
set -eu
for file in subuid subgid; do echo root:0:65536 > "/etc/$file"; done
exec unshare --user --mount --map-users=0:0:65536 --map-groups=0:0:65536 --setuid=0 --setgid=0 sh -c '
    set -eu
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    printf %s "$2" > /proc/sys/fs/binfmt_misc/register
    shift 2
    exec mmdebstrap "$@"
' sh "$@"
"#;

/// What of our rules the reference needs too: numbers of users, and users of the overlays.
const SETUP_HOOK: &str = "--setup-hook=mkdir -p \"$1/etc\" && cp /preload/passwd /preload/group \"$1/etc\"";
const SYSUSERS_HOOK: &str = "--customize-hook=cp -r /sysusers \"$1/overlay\" && chroot \"$1\" systemd-sysusers $(cd \"$1\" && echo overlay/*.conf) && rm -r \"$1/overlay\"";

/// The archive's folder.
const ARCHIVE: &str = "archive";

/// What is emulated.
pub struct Emulated<'a> {
    /// The workshop, for caches.
    pub shop: &'a Workshop,
    /// The bench tools.
    pub peer: &'a Tools,
    /// The target.
    pub arch: Arch,
    /// Packages that are configured.
    pub packages: &'a [LockedPackage],
}

impl Emulated<'_> {
    /// The bench tools tree, which has mmdebstrap and qemu-user.
    pub fn tools(shop: &Workshop) -> Result<Tools> {
        Tools::prepare(&shop.repo, tools::BENCH_LOCK, &shop.cache, None)
    }

    /// Lays the packages out in `folder` as an archive that apt can read.
    pub fn offer(&self, folder: &Path) -> Result<()> {
        archive::make(&self.shop.cache, self.packages, self.arch, &folder.join(ARCHIVE))
    }

    /// Configures the packages of [`Self::offer`] under emulation and writes the root as a tar into `folder` (`root.tar`), which holds the archive.
    /// With `alike`, users are numbered as in our images, so that the two can be compared.
    pub fn make(&self, folder: &Path, alike: Option<(&Ids, &Path)>) -> Result<()> {
        let (name, start, mask) = magic(self.arch)?;
        let handler = format!(":{name}:M::{start}:{mask}:/usr/bin/{name}:F");
        let archive = folder.join(ARCHIVE);
        let names: Vec<&str> = self.packages.iter().map(|package| package.name.as_str()).collect();
        let include = format!("--include={}", names.join(","));
        let architecture = format!("--architectures={}", self.arch);
        let mut argv = vec!["sh", "-c", SCRIPT, "sh", name, handler.as_str()];
        argv.extend([
            "--mode=root",
            "--variant=essential",
            "--format=tar",
            "--quiet",
            "--skip=check/qemu",
            architecture.as_str(),
            include.as_str(),
            "--aptopt=APT::Install-Recommends \"false\"",
            "--aptopt=APT::Sandbox::User \"root\"",
        ]);
        let mut sandbox = Sandbox::new(self.peer.root()).owners(Owners::All).bind(&archive, "/archive").bind_writable(folder, "/out");
        if let Some((ids, sysusers)) = alike {
            let preload = folder.join("preload");
            std::fs::create_dir_all(&preload)?;
            ids.preload(&self.peer.root().join("usr/share/base-passwd"), &preload)?;
            sandbox = sandbox.bind(&preload, "/preload").bind(sysusers, "/sysusers");
            argv.extend([SETUP_HOOK, SYSUSERS_HOOK]);
        }
        argv.extend([SUITE, "/out/root.tar", "deb [trusted=yes] copy:/archive ./"]);
        sandbox.command(argv).run().with_context(|| format!("mmdebstrap with {name} failed (Linux 6.7 or later is needed)"))?;
        Ok(())
    }
}
