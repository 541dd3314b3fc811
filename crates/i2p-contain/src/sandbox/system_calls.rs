//! The filter of system calls (seccomp): which sockets a program may make, and what it may not ask the kernel for.
//!
//! Everything else is allowed: the filter is not there to protect the kernel, and must not keep programs from working.

use std::collections::BTreeMap;

use libc::{
    AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, EACCES, EAFNOSUPPORT, ENOSYS, EPERM, EPROTONOSUPPORT,
    IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP, NETLINK_ROUTE, SOCK_DGRAM, SOCK_RAW,
    SOCK_SEQPACKET, SOCK_STREAM, TIOCLINUX, TIOCSTI,
};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, sock_filter,
};

use super::{plan::Plan, refusal::Refusal, wall::Wall};

/// The bits of a socket's type without its flags.
const SOCKET_TYPE: u64 = 0xf;

/// The first number of the x32 ABI: calls of x86-64 with other numbers.
const X32: u32 = 0x4000_0000;

/// Calls that are forbidden with any arguments.
const FORBIDDEN: &[(Wall, &[i64])] = &[
    (Wall::IoUring, &[libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register]),
    (Wall::Keyrings, &[libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl]),
    (
        Wall::KernelInterfaces,
        &[
            libc::SYS_acct,
            libc::SYS_bpf,
            libc::SYS_delete_module,
            libc::SYS_finit_module,
            libc::SYS_init_module,
            libc::SYS_kexec_load,
            libc::SYS_lookup_dcookie,
            libc::SYS_open_by_handle_at,
            libc::SYS_perf_event_open,
            libc::SYS_pidfd_getfd,
            libc::SYS_quotactl,
            libc::SYS_quotactl_fd,
            libc::SYS_reboot,
            libc::SYS_swapoff,
            libc::SYS_swapon,
            libc::SYS_syslog,
            libc::SYS_userfaultfd,
        ],
    ),
];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Filters the system calls of this process and those that it starts.
pub(super) fn filter(plan: &Plan) -> Result<(), Refusal> {
    let mut filters: Vec<(Wall, BpfProgram)> = Vec::new();
    if plan.has(Wall::OtherAbis) {
        filters.push((Wall::OtherAbis, other_abis()));
    }
    for (wall, rules, errno) in rules(plan).map_err(refuse(Wall::SocketFamilies))? {
        if !rules.is_empty() {
            filters.push((wall, program(rules, errno, plan.has(Wall::OtherAbis)).map_err(refuse(wall))?));
        }
    }
    for (wall, program) in filters {
        apply_filter(&program).map_err(refuse(wall))?;
    }
    Ok(())
}

fn refuse<E: std::fmt::Display>(wall: Wall) -> impl Fn(E) -> Refusal {
    move |error| Refusal::because(wall, format!("filtering system calls: {error}"))
}

/// What is forbidden, with the error that a program gets: the one that it knows from systems without the thing.
fn rules(plan: &Plan) -> Result<Vec<(Wall, Rules, i32)>, BackendError> {
    let mut filters = Vec::new();
    if plan.has(Wall::SocketFamilies) {
        filters.push((Wall::SocketFamilies, families()?, EAFNOSUPPORT));
        filters.push((Wall::SocketFamilies, protocols()?, EPROTONOSUPPORT));
    }
    if plan.has(Wall::UnixSockets) {
        filters.push((Wall::UnixSockets, unix_sockets()?, EACCES));
    }
    if plan.has(Wall::TerminalInput) {
        let condition = |request| SeccompRule::new(vec![is(1, request)?]);
        let requests = vec![condition(TIOCSTI)?, condition(TIOCLINUX)?];
        filters.push((Wall::TerminalInput, [(libc::SYS_ioctl, requests)].into(), EPERM));
    }
    for (wall, calls) in FORBIDDEN.iter().filter(|(wall, _)| plan.has(*wall)) {
        filters.push((*wall, calls.iter().map(|call| (*call, Vec::new())).collect(), ENOSYS));
    }
    Ok(filters)
}

/// Sockets of any family but these: virtual machines, Bluetooth, packets and others do not belong to a network
/// namespace, or reach around the link. Unix sockets are a wall of their own.
fn families() -> Result<Rules, BackendError> {
    let allowed = [AF_INET, AF_INET6, AF_NETLINK, AF_UNIX];
    let others = allowed.into_iter().map(|family| is_not(0, family)).collect::<Result<_, _>>()?;
    let pairs = SeccompRule::new(vec![is_not(0, AF_UNIX)?])?;
    Ok([(libc::SYS_socket, vec![SeccompRule::new(others)?]), (libc::SYS_socketpair, vec![pairs])].into())
}

/// Protocols but TCP, UDP, ICMP echo, and route netlink, with which programs look at their own interfaces; and types of
/// internet sockets but streams, datagrams and raw ones, which name a protocol, too. Others would make the kernel load
/// modules.
fn protocols() -> Result<Rules, BackendError> {
    let internet = [0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6];
    let others = |family| {
        let mut conditions = vec![is(0, family)?];
        for protocol in internet {
            conditions.push(is_not(2, protocol)?);
        }
        SeccompRule::new(conditions)
    };
    let netlink = SeccompRule::new(vec![is(0, AF_NETLINK)?, is_not(2, NETLINK_ROUTE)?])?;
    let mut rules = vec![others(AF_INET)?, others(AF_INET6)?, netlink];
    for kind in types_but(&[SOCK_STREAM, SOCK_DGRAM, SOCK_RAW]) {
        for family in [AF_INET, AF_INET6] {
            rules.push(SeccompRule::new(vec![is(0, family)?, is_type(kind)?])?);
        }
    }
    Ok([(libc::SYS_socket, rules)].into())
}

/// Unix sockets that could reach another process than the one at the other end of a pair. A pair for datagrams can: it
/// sends to whatever address it is given.
fn unix_sockets() -> Result<Rules, BackendError> {
    let socket = SeccompRule::new(vec![is(0, AF_UNIX)?])?;
    // All types but streams and sequenced packets: the kernel takes raw ones for datagrams.
    let forbidden = types_but(&[SOCK_STREAM, SOCK_SEQPACKET]);
    let pairs = forbidden.map(|kind| SeccompRule::new(vec![is_type(kind)?])).collect::<Result<_, _>>()?;
    Ok([(libc::SYS_socket, vec![socket]), (libc::SYS_socketpair, pairs)].into())
}

/// Every type that a socket's bits for it can hold, but those that are allowed.
fn types_but(allowed: &[i32]) -> impl Iterator<Item = i32> {
    (0..=i32::try_from(SOCKET_TYPE).unwrap_or_default()).filter(|kind| !allowed.contains(kind))
}

/// Whether the second argument is this type of socket, with any flags.
fn is_type(kind: i32) -> Result<SeccompCondition, BackendError> {
    let compare = SeccompCmpOp::MaskedEq(SOCKET_TYPE);
    SeccompCondition::new(1, SeccompCmpArgLen::Dword, compare, number(kind))
}

fn is(argument: u8, value: impl Into<Argument>) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value.into().0)
}

fn is_not(argument: u8, value: impl Into<Argument>) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value.into().0)
}

/// An argument of a system call, of which the kernel uses 32 bits here.
struct Argument(u64);

impl From<i32> for Argument {
    fn from(value: i32) -> Self {
        Self(number(value))
    }
}

impl From<u64> for Argument {
    fn from(value: u64) -> Self {
        Self(value)
    }
}

fn number(value: i32) -> u64 {
    u64::from(value.cast_unsigned())
}

fn program(rules: Rules, errno: i32, other_abis_end: bool) -> Result<BpfProgram, BackendError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let forbid = SeccompAction::Errno(errno.cast_unsigned());
    let filter: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, forbid, architecture)?.try_into()?;
    Ok(if other_abis_end { filter } else { allow_other_architectures(filter) })
}

/// The crate's filters end a process that makes a call of another architecture (i386 on x86-64, for example). For tests
/// that leave out this wall, let the call pass.
fn allow_other_architectures(mut filter: BpfProgram) -> BpfProgram {
    if let Some(instruction) = filter.get_mut(2) {
        instruction.k = libc::SECCOMP_RET_ALLOW;
    }
    filter
}

/// Calls in the numbering of x32, as if the kernel did not have it. The other filters compare numbers, and would not
/// know them.
fn other_abis() -> BpfProgram {
    let instruction =
        |code: u32, jt, jf, k| sock_filter { code: u16::try_from(code).unwrap_or_default(), jt, jf, k };
    // The number of the call is the first field of what a filter looks at.
    vec![
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32),
        instruction(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_ERRNO | ENOSYS.cast_unsigned()),
        instruction(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the filter answers to a call with this number. Most kernels have no x32 that could be called.
    fn answer(filter: &BpfProgram, number: u32) -> Option<u32> {
        let (mut position, mut loaded) = (0, 0);
        loop {
            let found = filter.get(position)?;
            position += 1;
            match u32::from(found.code) {
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS && found.k == 0 => loaded = number,
                code if code == libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K => {
                    position += usize::from(if loaded >= found.k { found.jt } else { found.jf });
                }
                code if code == libc::BPF_RET => return Some(found.k),
                _ => return None,
            }
        }
    }

    #[test]
    fn calls_in_the_numbering_of_x32_are_unknown_and_others_pass() {
        let unknown = Some(libc::SECCOMP_RET_ERRNO | ENOSYS.cast_unsigned());
        for (number, expected) in [
            (0, Some(libc::SECCOMP_RET_ALLOW)),
            (X32 - 1, Some(libc::SECCOMP_RET_ALLOW)),
            (X32, unknown),
            (X32 + 41, unknown),
            (u32::MAX, unknown),
        ] {
            assert_eq!(answer(&other_abis(), number), expected, "{number:#x}");
        }
    }
}
