//! Rules on the kernel.

use super::{LintError, Subject};

/// What Docker needs: the kernel's option, and the module's name where it may be one (moby's `contrib/check-config.sh`,
/// and what its iptables-nft rules match with).
const DOCKER: [(&str, Option<&str>); 26] = [
    ("CONFIG_NAMESPACES", None),
    ("CONFIG_NET_NS", None),
    ("CONFIG_PID_NS", None),
    ("CONFIG_IPC_NS", None),
    ("CONFIG_UTS_NS", None),
    ("CONFIG_CGROUPS", None),
    ("CONFIG_CGROUP_CPUACCT", None),
    ("CONFIG_CGROUP_DEVICE", None),
    ("CONFIG_CGROUP_FREEZER", None),
    ("CONFIG_CGROUP_PIDS", None),
    ("CONFIG_CGROUP_SCHED", None),
    ("CONFIG_CPUSETS", None),
    ("CONFIG_MEMCG", None),
    ("CONFIG_KEYS", None),
    ("CONFIG_SECCOMP", None),
    ("CONFIG_POSIX_MQUEUE", None),
    ("CONFIG_VETH", Some("veth")),
    ("CONFIG_BRIDGE", Some("bridge")),
    ("CONFIG_BRIDGE_NETFILTER", Some("br_netfilter")),
    ("CONFIG_NF_NAT", Some("nf_nat")),
    ("CONFIG_NFT_COMPAT", Some("nft_compat")),
    ("CONFIG_NETFILTER_XT_MATCH_ADDRTYPE", Some("xt_addrtype")),
    ("CONFIG_NETFILTER_XT_MATCH_CONNTRACK", Some("xt_conntrack")),
    ("CONFIG_NETFILTER_XT_TARGET_MASQUERADE", Some("xt_MASQUERADE")),
    ("CONFIG_NETFILTER_XT_MARK", Some("xt_mark")),
    ("CONFIG_OVERLAY_FS", Some("overlay")),
];

pub fn docker(subject: &Subject<'_>) -> Result<Vec<String>, LintError> {
    let set = |option: &str| subject.kernel_config.lines().find_map(|line| line.strip_prefix(option)?.strip_prefix('='));
    let lacking = DOCKER.iter().filter_map(|(option, module)| match (set(option), module) {
        (Some("y"), _) => None,
        (Some("m"), Some(module)) if subject.modules.has(module) => None,
        (Some("m"), Some(module)) => Some(format!("{option}=m, but the module {module} is left out by the board's `modules`")),
        _ => Some(format!("{option} is not set")),
    });
    Ok(lacking.collect())
}
