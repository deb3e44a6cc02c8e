//! Every wait and limit of the membership, and foca's settings made of them.

use foca::{Config, PeriodicParams};
use std::{
    num::{NonZeroU8, NonZeroUsize},
    time::Duration,
};

/// How many times a few members are told goodbye.
pub(super) const GOODBYE_ROUNDS: u32 = 4;
/// Largest datagram: what an iroh connection carries from its first moment, with room to spare.
pub const MAX_DATAGRAM_BYTES: usize = 1100;
/// How often a random member is probed at rest. Who is linked with a member misses it within 12 s, and nearly all losses are found so; each probe of a
/// member without a connection costs a handshake of some 6 KB, and each 6 to 16 s they were most of what a node of a large community said.
pub(super) const PROBE_PERIOD: Duration = Duration::from_secs(60);
/// The same in trouble, in a community of up to [`PROBE_PERIOD_MEMBERS`]: a connection fell silent, or a probe was not answered. More may be gone that
/// nobody here is linked with, all of them where this node itself was cut off.
pub(super) const TROUBLE_PROBE_PERIOD: Duration = Duration::from_secs(6);
/// Beyond so many members the period grows with their number,
pub(super) const PROBE_PERIOD_MEMBERS: u32 = 26;
/// to this at most.
pub(super) const MAX_TROUBLE_PROBE_PERIOD: Duration = Duration::from_secs(16);
/// How long it is trouble after the last sign of it.
pub(super) const TROUBLE: Duration = Duration::from_secs(60);
/// How many times a node passes on a piece of news. With a fifth of all datagrams lost, each of 60 nodes is sent it
/// 12 times, so that none is left out.
pub(super) const TRANSMISSIONS: u8 = 15;
/// How long a probe's direct answer may take; most include a handshake, of which packets may be lost.
pub(super) const PROBE_RTT: Duration = Duration::from_secs(4);
/// A probe that is not answered so soon is said again.
pub(super) const PROBE_AGAIN: Duration = Duration::from_secs(1);
/// So many times, all before others are asked to probe: with a fifth of all datagrams lost, a third of all probes would else be asked of others, and
/// one in 14 be a suspicion, which costs each member 15 datagrams and their answer.
pub(super) const PROBES_AGAIN: u32 = 3;
/// How long a member may take to answer a suspicion.
pub(super) const SUSPECT_TO_DOWN: Duration = Duration::from_secs(10);
/// The same for a member whose connection fell silent: it said nothing for long before, so it is given as long as the own
/// dial takes. With what everybody's own dial takes after that, a loss of power is known to all within half a minute.
pub(super) const SILENT_TO_DOWN: Duration = Duration::from_secs(6);
/// How often suspicions are looked through for those that nobody here ends: foca drops its timers when this node
/// itself was given up for a moment, and then it may have missed what the others decided.
pub(super) const SUSPECTS_PERIOD: Duration = Duration::from_secs(4);
/// How long foca remembers who is down.
pub(super) const REMOVE_DOWN_AFTER: Duration = Duration::from_secs(24 * 3600);
/// How often news are passed on, while there are any.
pub(super) const GOSSIP_PERIOD: Duration = Duration::from_millis(400);
/// How often some member is asked for all it knows.
pub(super) const ANNOUNCE_PERIOD: Duration = Duration::from_secs(60);
/// How often admitted members that are not alive are asked whether they are back.
pub(super) const RETRY_PERIOD: Duration = Duration::from_secs(10);
/// How many of them each time.
pub(super) const RETRY_MEMBERS: usize = 2;
/// The same while nobody at all is alive.
pub(super) const RETRY_MEMBERS_ALONE: usize = 4;
/// How long the own dial of a member that foca gave up may take before it counts as failed.
pub(super) const CONFIRM_PATIENCE: Duration = Duration::from_secs(20);

/// foca's settings.
pub(super) fn config() -> Config {
    let members = |count: usize| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
    Config {
        probe_period: TROUBLE_PROBE_PERIOD,
        probe_rtt: PROBE_RTT,
        num_indirect_probes: members(3),
        max_transmissions: NonZeroU8::new(TRANSMISSIONS).unwrap_or(NonZeroU8::MIN),
        suspect_to_down_after: SUSPECT_TO_DOWN,
        remove_down_after: Some(REMOVE_DOWN_AFTER),
        // One byte of the datagram is the version.
        max_packet_size: members(MAX_DATAGRAM_BYTES - 1),
        notify_down_members: true,
        periodic_announce: Some(PeriodicParams { frequency: ANNOUNCE_PERIOD, num_members: members(1) }),
        // The retries of the address book do this.
        periodic_announce_to_down_members: None,
        periodic_gossip: Some(PeriodicParams { frequency: GOSSIP_PERIOD, num_members: members(3) }),
    }
}
