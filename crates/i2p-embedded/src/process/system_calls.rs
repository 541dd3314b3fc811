//! The system calls of a router, and no others (seccomp).
//!
//! Landlock knows nothing of calls such as chmod(2), which change files by name: they are left out here. So is everything that
//! starts a program, looks into another process or sends it a signal, opens a port, or makes a socket that is not TCP.

use std::{collections::BTreeMap, env::consts::ARCH};

use libc::{
    AF_INET, AF_INET6, AF_UNIX, CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID,
    CLONE_NEWUSER, CLONE_NEWUTS, CLONE_THREAD, ENOSYS, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFD, F_SETFL,
    FIONBIO, IPPROTO_TCP, PR_SET_NAME, PROT_EXEC, SOCK_STREAM, SOL_SOCKET,
};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// The bits of a socket's type without its flags.
const SOCKET_TYPE: u64 = 0xf;

/// Calls that are allowed with any arguments.
const ALLOWED: &[i64] = &[
    // Memory. Those that can make memory executable are below.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Threads, and waiting for each other.
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    // Time and randomness.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    // Files, which Landlock limits to those of the router.
    libc::SYS_close,
    libc::SYS_fdatasync,
    libc::SYS_fstat,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_renameat2,
    libc::SYS_statx,
    libc::SYS_unlinkat,
    libc::SYS_write,
    libc::SYS_writev,
    // Sockets that are there.
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_shutdown,
    // Waiting for sockets.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
];

/// The older calls that libraries still make on this processor.
#[cfg(target_arch = "x86_64")]
const ALLOWED_OLDER: &[i64] = &[
    libc::SYS_epoll_wait,
    libc::SYS_lstat,
    libc::SYS_open,
    libc::SYS_poll,
    libc::SYS_rename,
    libc::SYS_stat,
    libc::SYS_unlink,
];
#[cfg(target_arch = "aarch64")]
const ALLOWED_OLDER: &[i64] = &[libc::SYS_renameat];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ALLOWED_OLDER: &[i64] = &[];

/// Confines this thread, and those that it starts, to the system calls of a router.
///
/// A forbidden call fails with ENOSYS, as on a kernel that does not know it. The C library then does without, as it must with
/// clone3(2), whose flags a filter cannot read.
pub(super) fn confine() -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter(&program()?)
}

fn program() -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().chain(ALLOWED_OLDER).map(|call| (*call, Vec::new())).collect();
    rules.extend(limited()?);
    let (otherwise, allowed) = (SeccompAction::Errno(ENOSYS.unsigned_abs()), SeccompAction::Allow);
    SeccompFilter::new(rules, otherwise, allowed, TargetArch::try_from(ARCH)?)?.try_into()
}

/// Calls that are allowed with certain arguments only.
#[allow(clippy::unnecessary_cast, reason = "with musl, FIONBIO is an int")]
fn limited() -> Result<Vec<(i64, Vec<SeccompRule>)>, BackendError> {
    let bits = |flags: i32| u64::from(flags.unsigned_abs());
    let not_executable = || all(&[masked(2, bits(PROT_EXEC), 0)?]);
    let namespaces = CLONE_NEWCGROUP
        | CLONE_NEWIPC
        | CLONE_NEWNET
        | CLONE_NEWNS
        | CLONE_NEWPID
        | CLONE_NEWUSER
        | CLONE_NEWUTS;
    let tcp = |family: i32, protocol: i32| {
        all(&[equal(0, bits(family))?, masked(1, SOCKET_TYPE, bits(SOCK_STREAM))?, equal(2, bits(protocol))?])
    };
    let any_of = |argument: u8, values: &[i32]| {
        values.iter().map(|value| all(&[equal(argument, bits(*value))?])).collect::<Result<Vec<_>, _>>()
    };
    Ok(vec![
        (libc::SYS_mmap, vec![not_executable()?]),
        (libc::SYS_mprotect, vec![not_executable()?]),
        // Threads, and no processes.
        (libc::SYS_clone, vec![all(&[masked(0, bits(CLONE_THREAD | namespaces), bits(CLONE_THREAD))?])?]),
        // To end itself with abort(3).
        (libc::SYS_tgkill, vec![all(&[equal(0, u64::from(std::process::id()))?])?]),
        (libc::SYS_prctl, any_of(0, &[PR_SET_NAME])?),
        // To read limits, not to set them.
        (libc::SYS_prlimit64, vec![all(&[same(2, 0)?])?]),
        // Not to have signals sent to another process, as F_SETOWN does.
        (libc::SYS_fcntl, any_of(1, &[F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFD, F_SETFL])?),
        (libc::SYS_ioctl, vec![all(&[equal(1, FIONBIO as u64)?])?]),
        (
            libc::SYS_socket,
            vec![
                tcp(AF_INET, 0)?,
                tcp(AF_INET, IPPROTO_TCP)?,
                tcp(AF_INET6, 0)?,
                tcp(AF_INET6, IPPROTO_TCP)?,
            ],
        ),
        (
            libc::SYS_socketpair,
            vec![all(&[equal(0, bits(AF_UNIX))?, masked(1, SOCKET_TYPE, bits(SOCK_STREAM))?])?],
        ),
        (libc::SYS_setsockopt, any_of(1, &[SOL_SOCKET, IPPROTO_TCP])?),
    ])
}

fn all(conditions: &[SeccompCondition]) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.to_vec())
}

/// Compares the lower 32 bits of an argument, which are all that the kernel reads of an `int`.
fn equal(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

/// Compares a whole argument, such as a pointer.
fn same(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value)
}

/// Compares the bits of `mask`.
fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_reach_other_programs_are_not_allowed() {
        let limited: Vec<_> = limited().unwrap().into_iter().map(|(call, _)| call).collect();
        for call in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_kill,
            libc::SYS_tkill,
            libc::SYS_pidfd_open,
            libc::SYS_pidfd_getfd,
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_fchmodat,
            libc::SYS_fchownat,
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_clone3,
            libc::SYS_bpf,
            libc::SYS_io_uring_setup,
            libc::SYS_keyctl,
            libc::SYS_memfd_create,
        ] {
            assert!(
                !ALLOWED.contains(&call) && !ALLOWED_OLDER.contains(&call) && !limited.contains(&call),
                "{call}"
            );
        }
        assert!(!program().unwrap().is_empty());
    }
}
