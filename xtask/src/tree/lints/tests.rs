//! Each rule is shown to fail, and a good image to pass.

use std::collections::BTreeMap;

use super::*;
use crate::board::Catalog;
use crate::packages::lock::{Lock, LockedPackage};
use crate::plan::{Inputs, Profile};
use crate::tree::Entry;
use crate::tree::modules::Module;
use crate::tree::modules::testing::modules;
use crate::tree::testing::{elf, file, folder, link, program, tree};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n";
const GROUP: &str = "root:x:0:\n";
const SHADOW: &str = "root:*:1:0:99999:7:::\n";
const UNIT: &str =
    "[Service]\nExecStart=/usr/bin/cloudy agent\nExecStartPre=-/usr/bin/optional\nExecReload=systemctl x\nExecStop=/usr/lib/%i\n";

fn plan() -> Plan {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let catalog = Catalog::load(&[&root]).unwrap();
    let mut board = catalog.board("x86-minipc").unwrap().clone();
    board.payload.clear();
    let mut flavour = catalog.flavours[0].clone();
    flavour.packages.clear();
    let package = |name: &str| LockedPackage {
        name: name.to_owned(),
        version: "1".to_owned(),
        arch: "all".to_owned(),
        sha256: "0".repeat(64),
        size: 1,
        source: "debian".to_owned(),
        path: "x.deb".to_owned(),
        payload: true,
        suite: None,
    };
    let asked = Some(crate::packages::lock::asked(&flavour.packages, &flavour.providers).finish());
    let lock = Lock { epoch: 1, asked, packages: vec![package("linux-image-6-x"), package(&board.kernel)], ..Lock::default() };
    Plan::make(&board, &flavour, &lock, &lock, Profile::Dev, Inputs::new()).unwrap()
}

fn config() -> String {
    ["NAMESPACES", "NET_NS", "PID_NS", "IPC_NS", "UTS_NS", "CGROUPS", "CGROUP_CPUACCT", "CGROUP_DEVICE", "CGROUP_FREEZER", "CGROUP_PIDS"]
        .iter()
        .chain(&["CGROUP_SCHED", "CPUSETS", "MEMCG", "KEYS", "SECCOMP", "POSIX_MQUEUE", "VETH", "BRIDGE", "BRIDGE_NETFILTER", "NF_NAT"])
        .chain(&["NFT_COMPAT", "NETFILTER_XT_MATCH_ADDRTYPE", "NETFILTER_XT_MATCH_CONNTRACK", "NETFILTER_XT_TARGET_MASQUERADE"])
        .map(|option| format!("CONFIG_{option}=y\n"))
        .chain(["CONFIG_NETFILTER_XT_MARK=m\nCONFIG_OVERLAY_FS=m\n".to_owned()])
        .collect()
}

fn good() -> Vec<(&'static str, Entry)> {
    vec![
        ("bin", link("usr/bin")),
        ("etc", folder()),
        ("etc/group", file(GROUP)),
        ("etc/machine-id", file("")),
        ("etc/mtab", link("../proc/self/mounts")),
        ("etc/passwd", file(PASSWD)),
        ("etc/shadow", file(SHADOW)),
        ("etc/systemd/system/sshd-keygen.service", link("/dev/null")),
        ("tmp", Entry { mode: 0o1777, ..folder() }),
        ("usr/bin", folder()),
        ("usr/bin/cloudy", program(elf(62))),
        ("usr/sbin/dockerd", program("x")),
        ("usr/bin/sudo", Entry { mode: 0o4755, ..program("x") }),
        ("usr/bin/systemctl", program("x")),
        ("usr/lib/firmware/other-processor.elf", program(elf(40))),
        ("usr/lib/systemd/system/cloudy.service", file(UNIT)),
        ("usr/lib/systemd/system/sshd-keygen.service", file("[Service]\nExecStart=/absent\n")),
        ("usr/lib/systemd/systemd", program("x")),
        ("usr/sbin/e2fsck", program("x")),
        ("usr/sbin/mke2fs", program("x")),
    ]
}

/// What each lint says of a good tree with these entries laid over it.
fn findings(
    over: &[(&'static str, Entry)],
    change: impl FnOnce(&mut Plan, &mut String, &mut Modules),
) -> BTreeMap<&'static str, Vec<String>> {
    let mut entries = good();
    entries.extend(over.iter().cloned());
    let tree = tree(&entries);
    let mut plan = plan();
    let mut config = config();
    let mut modules = modules(&[("overlay", Module::sample(&[], &[], &[])), ("xt_mark", Module::sample(&[], &[], &[]))]);
    change(&mut plan, &mut config, &mut modules);
    let subject = Subject { tree: &tree, plan: &plan, modules: &modules, kernel_config: &config };
    let found = check(&subject).unwrap();
    found.map(|findings| findings.0.into_iter().map(|(lint, found)| (lint.name, found)).collect()).unwrap_or_default()
}

/// The tree with these entries breaks just this rule; the only finding is given back.
fn breaks(lint: &str, over: &[(&'static str, Entry)]) -> String {
    let found = findings(over, |_, _, _| {});
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [lint], "{found:?}");
    assert_eq!(found[lint].len(), 1, "{found:?}");
    found[lint][0].clone()
}

#[test]
fn a_good_image_passes() {
    assert_eq!(findings(&[], |_, _, _| {}), BTreeMap::new());
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(breaks("essentials", &[("usr/sbin/mke2fs", folder())]), "/usr/sbin/mke2fs is missing");
}

#[test]
fn identities_are_not_shipped() {
    assert_eq!(breaks("host-keys", &[("etc/ssh/ssh_host_rsa_key", file("x"))]), "/etc/ssh/ssh_host_rsa_key");
    assert_eq!(breaks("machine-id", &[("etc/machine-id", file("x"))]), "/etc/machine-id is not empty");
}

#[test]
fn permissions_are_kept_tight() {
    assert_eq!(breaks("world-writable", &[("etc/x", Entry { mode: 0o666, ..file("x") })]), "/etc/x has mode 666");
    assert_eq!(breaks("world-writable", &[("srv", Entry { mode: 0o777, ..folder() })]), "/srv has mode 777");
    assert_eq!(breaks("closed-folders", &[("usr/lib", Entry { mode: 0o700, ..folder() })]), "/usr/lib has mode 700");
    assert_eq!(breaks("setuid", &[("usr/bin/x", Entry { mode: 0o2755, ..program("x") })]), "/usr/bin/x has mode 2755");
}

#[test]
fn links_lead_somewhere() {
    assert_eq!(breaks("dangling-links", &[("usr/a", link("b"))]), "/usr/a → b: there is no /usr/b");
    assert_eq!(breaks("dangling-links", &[("usr/a", link("a"))]), "/usr/a leads to itself");
}

#[test]
fn the_root_leaves_room() {
    let found = findings(&[], |plan, _, _| plan.root.max_bytes = 10_000);
    assert!(found["slot-size"][0].starts_with("the root has about 0 MB, at most 0 are allowed"), "{found:?}");
}

#[test]
fn owners_and_passwords() {
    let owned = Entry { uid: 77, ..file("x") };
    assert_eq!(breaks("owners", &[("etc/x", owned)]), "/etc/x belongs to user 77, whom /etc/passwd does not name");
    let grouped = Entry { gid: 78, ..file("x") };
    assert_eq!(breaks("owners", &[("etc/x", grouped)]), "/etc/x belongs to group 78, which /etc/group does not name");
    assert_eq!(breaks("passwords", &[("etc/shadow", file("root::1:::::\n"))]), "root has an empty password in /etc/shadow");
    assert_eq!(breaks("passwords", &[("etc/shadow", file("root:$y$x:1:::::\n"))]), "root has a password in /etc/shadow");
}

#[test]
fn units_find_their_programs() {
    let unit = "[Service]\nExecStart=@/usr/bin/gone gone\n";
    assert_eq!(
        breaks("unit-programs", &[("usr/lib/systemd/system/a.service", file(unit))]),
        "/usr/lib/systemd/system/a.service: there is no program /usr/bin/gone"
    );
    let guarded = format!("[Unit]\nConditionPathExists=/usr/bin/gone\n{unit}");
    assert_eq!(findings(&[("usr/lib/systemd/system/a.service", file(guarded))], |_, _, _| {}), BTreeMap::new());
    let found = breaks("masked-units", &[("usr/lib/systemd/system/systemd-firstboot.service", file(""))]);
    assert!(found.starts_with("systemd-firstboot.service is not masked"), "{found}");
}

#[test]
fn programs_fit_the_board() {
    assert_eq!(
        breaks("elf-architecture", &[("usr/bin/cloudy", program(elf(40)))]),
        "/usr/bin/cloudy is for ELF machine 40, that of amd64 is 62"
    );
    let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let found = findings(&[("usr/bin/cloudy", program(this))], |plan, _, _| {
        plan.arch = if cfg!(target_arch = "x86_64") { crate::board::Arch::Amd64 } else { crate::board::Arch::Arm64 };
    });
    assert!(found["elf-libraries"].contains(&"/usr/bin/cloudy needs libc.so.6".to_owned()), "{found:?}");
}

#[test]
fn docker_has_its_kernel() {
    let found = findings(&[], |_, config, modules| {
        *config = config.replace("CONFIG_MEMCG=y\n", "# CONFIG_MEMCG is not set\n");
        modules.by_name.remove("overlay");
    });
    let expected = ["CONFIG_MEMCG is not set", "CONFIG_OVERLAY_FS=m, but the module overlay is left out by the board's `modules`"];
    assert_eq!(found["docker-kernel"], expected);
}

#[test]
fn a_pi_s_radio_has_all_that_it_loads() {
    use crate::board::pi::Model;
    let firmware = [
        "brcm/brcmfmac43430-sdio.bin",
        "brcm/brcmfmac43430-sdio.clm_blob",
        "brcm/brcmfmac43430-sdio.raspberrypi,3-model-b.txt",
        "regulatory.db",
        "regulatory.db.p7s",
    ];
    let paths = firmware.map(|name| &*format!("usr/lib/firmware/{name}").leak());
    let entries = paths.map(|path| (path, file("x")));
    assert_eq!(findings(&entries, |plan, _, _| plan.boot.pi_models = vec![Model::Three, Model::Two]), BTreeMap::new());
    for (missing, name) in firmware.iter().enumerate() {
        let rest: Vec<_> = entries.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, entry)| entry.clone()).collect();
        let found = findings(&rest, |plan, _, _| plan.boot.pi_models = vec![Model::Three]);
        assert_eq!(found["radio"], [format!("the Wi-Fi of Three needs /usr/lib/firmware/{name}")]);
    }
    let found = findings(&entries, |plan, _, _| plan.boot.pi_models = vec![Model::FourHundred]);
    assert_eq!(found["radio"].len(), 3, "{found:?}");
}

#[test]
fn findings_are_shown_with_their_rule() {
    let findings = Findings(vec![(&LINTS[1], (0..30).map(|n| format!("/k{n}")).collect())]);
    let text = findings.to_string();
    let head = format!("the image breaks 1 of {} rules\nhost-keys: no SSH host key", LINTS.len());
    assert!(text.starts_with(&head), "{text}");
    assert!(text.ends_with("  /k19\n  and 10 more"), "{text}");
}
