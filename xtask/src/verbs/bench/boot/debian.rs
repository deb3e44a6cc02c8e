//! A plain Debian of a plan's packages on a disk: mmdebstrap's root on ext4, the initrd of initramfs-tools, systemd-boot.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use contract::gpt::{PRIMARY_LBA, Partition, SECTOR_BYTES, Table};
use contract::guid::Guid;
use contract::mbr;
use contract::partitions::{ALIGNMENT_BYTES, ESP_BYTES, Role};

use crate::board::Arch;
use crate::image::esp_part;
use crate::packages::lock::{Lock, LockedPackage};
use crate::plan::Plan;
use crate::sandbox::{Owners, Sandbox};
use crate::stages::{self, Workshop};
use crate::tools::{self, Tools};
use crate::tree::Content;
use crate::ui;
use crate::verbs::bench::archive::{self, SUITE};
use crate::vm::SSH_USER;

/// Size of its root.
const ROOT_BYTES: u64 = 4 << 30;
/// The label by which the kernel's command line and fstab name it.
const ROOT_LABEL: &str = "debian";
/// What a person who installs Debian gets by its installer, and mmdebstrap leaves out.
const MORE: [&str; 2] = ["initramfs-tools", "zstd"];
/// Files of the overlay that are the agent's own, or without which a machine has no network.
const AGENTS: [&str; 7] = [
    "etc/sudoers.d/cloudy",
    "usr/lib/systemd/network/85-cloudy-ethernet.network",
    "usr/lib/systemd/system/cloudy-broker.service",
    "usr/lib/systemd/system/cloudy-broker.socket",
    "usr/lib/systemd/system/cloudy.service",
    "usr/lib/sysusers.d/cloudy.conf",
    "usr/share/polkit-1/rules.d/50-cloudy.rules",
];

/// Runs in the sandbox: the root in memory, then onto the disk. `$1`: packages, `$2`: where the root begins, `$3`: its size in KiB.
const MAKE: &str = r#"
set -eu
mmdebstrap --mode=root --variant=essential --format=directory --quiet --include="$1" \
    --aptopt='APT::Install-Recommends "false"' --aptopt='APT::Sandbox::User "root"' \
    --customize-hook='sh -eu /peer/customize "$1"' SUITE /tmp/root 'deb [trusted=yes] copy:/archive ./' >&2
cp /tmp/root/boot/vmlinuz-* /out/vmlinuz
cp /tmp/root/boot/initrd.img-* /out/initrd
mke2fs -q -t ext4 -L LABEL -E "offset=$2" -d /tmp/root /out/disk "$3k" >&2
"#;

/// Runs when the packages are there. `$1`: the root.
const CUSTOMIZE: &str = r#"
cp -R --no-preserve=ownership /peer/files/. "$1/"
echo 'LABEL=LABEL / ext4 errors=remount-ro 0 1' > "$1/etc/fstab"
echo debian > "$1/etc/hostname"
chroot "$1" systemd-sysusers cloudy.conf
chroot "$1" systemctl enable cloudy.service cloudy-broker.socket systemd-networkd.service systemd-resolved.service
mkdir -p "$1/home/USER/.ssh" "$1/etc/tmpfiles.d"
cp /peer/key "$1/home/USER/.ssh/authorized_keys"
chroot "$1" chown -R USER:USER /home/USER
chmod -R go= "$1/home/USER"
echo 'd /run/cloudy 1775 root cloudy' > "$1/etc/tmpfiles.d/cloudy.conf"
"#;

/// Makes the disk's file. Who has `key` logs in as the nodes' user.
pub fn make(shop: &Workshop, plan: &Plan, key: &str, disk: &Path) -> Result<()> {
    let packages = stages::packages(shop, plan)?;
    let programs = stages::programs(shop, plan)?;
    let peer = Tools::prepare(&shop.repo, tools::BENCH_LOCK, &shop.cache, None)?;
    let _stage = ui::stage("debian", "making a plain Debian of the same packages");
    let scratch = tempfile::tempdir_in(shop.cache.root()).context("failed to make a working folder")?;
    let place = |name: &str| scratch.path().join(name);
    archive::make(&shop.cache, &offered(shop, &packages)?, Arch::Amd64, &place("archive"))?;
    gather(shop, &place("peer"), &programs.agent, key)?;
    fs::create_dir(place("out"))?;
    let table = table();
    let image = File::create(place("out/disk"))?;
    write_table(&image, &table)?;
    let (_, root) = table.by_name(ROOT_LABEL).context("the table has no root")?;

    let kernel = plan.packages.iter().filter(|package| package.name.starts_with("linux-image-"));
    let names = packages.iter().filter(|package| !package.payload).chain(kernel).map(|package| package.name.as_str()).chain(MORE);
    let names = names.collect::<Vec<_>>().join(",");
    let script = MAKE.replace("SUITE", SUITE).replace("LABEL", ROOT_LABEL);
    let (offset, size) = (root.offset().to_string(), (root.bytes() >> 10).to_string());
    Sandbox::new(peer.root())
        .owners(Owners::All)
        .bind(&place("archive"), "/archive")
        .bind(&place("peer"), "/peer")
        .bind_writable(&place("out"), "/out")
        .command(["sh", "-c", &script, "make", &names, &offset, &size])
        .run()
        .context("failed to make the plain Debian")?;

    let loader = peer.root().join("usr/lib/systemd/boot/efi/systemd-bootx64.efi");
    write_esp(&image, &table, &entry(&plan.boot.cmdline), &loader, &place("out"))?;
    fs::rename(place("out/disk"), disk).context("failed to put the plain Debian's disk in its place")?;
    Ok(())
}

/// The plan's packages, and of the locks of peers and benchmarks what it has not.
fn offered(shop: &Workshop, packages: &[LockedPackage]) -> Result<Vec<LockedPackage>> {
    let mut offered = archive::with_peers(shop, packages)?;
    for package in Lock::read(&shop.repo.join(tools::BENCH_LOCK))?.packages {
        if !offered.iter().any(|known| known.name == package.name) {
            offered.push(package);
        }
    }
    Ok(offered)
}

/// Puts together what CUSTOMIZE copies: the agent, its units, the key.
fn gather(shop: &Workshop, peer: &Path, agent: &Path, key: &str) -> Result<()> {
    let files = peer.join("files");
    let mut copies = vec![(agent.to_owned(), files.join("usr/bin/cloudy"))];
    copies.extend(AGENTS.iter().map(|name| (shop.repo.join("overlay/common").join(name), files.join(name))));
    for (from, to) in copies {
        fs::create_dir_all(to.parent().context("a file has no folder")?)?;
        fs::copy(&from, &to).with_context(|| format!("failed to copy `{}`", from.display()))?;
    }
    fs::write(peer.join("key"), format!("{key}\n"))?;
    fs::write(peer.join("customize"), CUSTOMIZE.replace("LABEL=LABEL", &format!("LABEL={ROOT_LABEL}")).replace("USER", SSH_USER))?;
    Ok(())
}

/// An ESP and a root.
fn table() -> Table {
    let sector = SECTOR_BYTES as u64;
    let part = |kind, number: u128, first: u64, bytes: u64, name: &str| Partition {
        kind,
        guid: Guid(number),
        first: first / sector,
        last: (first + bytes) / sector - 1,
        attributes: 0,
        name: name.to_owned(),
    };
    // Linux file system data.
    let linux = Guid(0x0FC63DAF_8483_4772_8E79_3D69D8477DE4);
    let esp = part(Role::Esp.kind(), 0xD1, ALIGNMENT_BYTES, ESP_BYTES, "esp");
    let root = part(linux, 0xD2, ALIGNMENT_BYTES + ESP_BYTES, ROOT_BYTES, ROOT_LABEL);
    Table { disk: Guid(0xD0), partitions: [(1, esp), (2, root)].into() }
}

fn write_table(image: &File, table: &Table) -> Result<()> {
    let end = table.partitions.values().map(|partition| partition.offset() + partition.bytes()).max().unwrap_or_default();
    let bytes = end + ALIGNMENT_BYTES;
    image.set_len(bytes)?;
    let encoded = table.encode(bytes / SECTOR_BYTES as u64)?;
    image.write_all_at(&mbr::protective(), 0)?;
    image.write_all_at(&encoded.primary, PRIMARY_LBA * SECTOR_BYTES as u64)?;
    image.write_all_at(&encoded.backup, encoded.backup_lba * SECTOR_BYTES as u64)?;
    Ok(())
}

/// The loader's entry: our own kernel's words, but for those that are for our init.
fn entry(cmdline: &[String]) -> String {
    let words: Vec<&str> =
        cmdline.iter().map(String::as_str).filter(|word| !word.starts_with("cloudy.") && !word.starts_with("initrd=")).collect();
    format!("title Debian\nlinux /vmlinuz\ninitrd /initrd\noptions root=LABEL={ROOT_LABEL} ro {}\n", words.join(" "))
}

fn write_esp(image: &File, table: &Table, entry: &str, loader: &Path, out: &Path) -> Result<()> {
    let file = |path: &Path| {
        fs::read(path).map(|bytes| Content::Bytes(bytes.into())).with_context(|| format!("failed to read `{}`", path.display()))
    };
    let text = |text: &str| Content::Bytes(text.as_bytes().into());
    let files = [
        ("EFI/BOOT/BOOTX64.EFI", file(loader)?),
        ("loader/loader.conf", text("timeout 0\n")),
        ("loader/entries/debian.conf", text(entry)),
        ("vmlinuz", file(&out.join("vmlinuz"))?),
        ("initrd", file(&out.join("initrd"))?),
    ];
    let files: Vec<_> = files.into_iter().map(|(path, content)| (path.to_owned(), content)).collect();
    let made = out.join("esp");
    let part = esp_part(&files, &made)?;
    let (_, esp) = table.by_name("esp").context("the table has no ESP")?;
    if part.used > esp.bytes() {
        bail!("kernel and initrd need {} bytes, the ESP has {}", part.used, esp.bytes());
    }
    let content = OpenOptions::new().read(true).open(&made)?;
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while at < part.used {
        let most = usize::try_from(part.used - at).unwrap_or(usize::MAX).min(buffer.len());
        let chunk = buffer.get_mut(..most).unwrap_or_default();
        content.read_exact_at(chunk, at)?;
        if chunk.iter().any(|byte| *byte != 0) {
            image.write_all_at(chunk, esp.offset() + at)?;
        }
        at += most as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_told_what_ours_is_but_for_our_init() {
        let words = ["initrd=\\x", "cloudy.build=ab", "console=tty0", "panic=10"].map(str::to_owned);
        assert!(entry(&words).ends_with("\noptions root=LABEL=debian ro console=tty0 panic=10\n"));
    }

    #[test]
    fn the_disk_has_a_table_that_can_be_read() {
        let file = tempfile::tempfile().unwrap();
        write_table(&file, &table()).unwrap();
        let bytes = file.metadata().unwrap().len();
        let read = |at: u64| {
            let mut copy = vec![0; contract::gpt::TABLE_BYTES];
            file.read_exact_at(&mut copy, at).unwrap();
            copy
        };
        let sectors = bytes / SECTOR_BYTES as u64;
        let (primary, backup) = (read(512), read(contract::gpt::backup_lba(sectors).unwrap() * 512));
        assert_eq!(contract::gpt::decode(&primary, &backup, sectors).unwrap().0, table());
    }
}
