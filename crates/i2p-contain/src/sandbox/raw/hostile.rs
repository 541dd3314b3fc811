//! Calls that only hostile programs make, to show that they fail. None takes memory of this process except as input.

use std::{
    ffi::CStr,
    io,
    os::fd::{FromRawFd, OwnedFd, RawFd},
};

use super::check;

/// Another handle of a descriptor that was open when this program started.
pub(crate) fn inherited(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the call takes numbers only.
    let copy = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 3) };
    check(copy.into())?;
    // SAFETY: the kernel has just opened this descriptor, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// `keyctl(KEYCTL_GET_KEYRING_ID)` of the session's keyring, without making one.
pub(crate) fn session_keyring() -> io::Result<()> {
    const GET_KEYRING_ID: i32 = 0;
    const SESSION: i32 = -3;
    // SAFETY: the call takes numbers only.
    check(unsafe { libc::syscall(libc::SYS_keyctl, GET_KEYRING_ID, SESSION, 0) })
}

/// `request_key` of the type whose requests the kernel answers by starting a program outside.
pub(crate) fn request_dns_key(name: &CStr) -> io::Result<()> {
    // SAFETY: the three texts are valid for the length of the call; the last argument is a number.
    check(unsafe {
        libc::syscall(libc::SYS_request_key, c"dns_resolver".as_ptr(), name.as_ptr(), c"".as_ptr(), -3)
    })
}

/// Makes an `io_uring`, through which sockets can be made that no filter of system calls sees.
pub(crate) fn io_uring() -> io::Result<()> {
    let mut parameters = [0u64; 15];
    // SAFETY: `io_uring_params` has 120 bytes, which the kernel fills. The ring is not mapped, and its descriptor
    // is closed by the end of this process at the latest.
    check(unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, parameters.as_mut_ptr()) })
}

/// `bpf(BPF_MAP_CREATE)` of an array, which works for users where unprivileged BPF is allowed.
pub(crate) fn bpf_map() -> io::Result<()> {
    let attributes: [u32; 4] = [2, 4, 4, 1];
    // SAFETY: the pointer is valid for the length that is the last argument.
    check(unsafe { libc::syscall(libc::SYS_bpf, 0, attributes.as_ptr(), size_of_val(&attributes)) })
}

/// Opens a software counter of this process.
pub(crate) fn performance_counter() -> io::Result<()> {
    // A software event (1) that counts nothing (9), of 64 bytes (`PERF_ATTR_SIZE_VER0`), for user code only.
    let mut attributes = [0u64; 8];
    attributes[0] = 1 | (64 << 32);
    attributes[1] = 9;
    attributes[5] = (1 << 5) | (1 << 6);
    // SAFETY: the pointer is valid for the size that the attributes name.
    check(unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), 0, -1, -1, 0) })
}

/// Reads the size of the kernel's log.
pub(crate) fn kernel_log() -> io::Result<()> {
    const SIZE_UNREAD_BUFFER: i32 = 10;
    // SAFETY: with this action, the call does not use the pointer.
    check(unsafe { libc::syscall(libc::SYS_syslog, SIZE_UNREAD_BUFFER, 0, 0) })
}

/// Makes System V shared memory with this key, or opens what is there, and returns its number.
pub(crate) fn shared_memory(key: i32, make: bool) -> io::Result<i32> {
    let flags = if make { libc::IPC_CREAT | libc::IPC_EXCL | 0o600 } else { 0 };
    // SAFETY: the call takes numbers only, and maps nothing.
    let id = unsafe { libc::shmget(key, 4096, flags) };
    check(id.into()).map(|()| id)
}

/// Removes System V shared memory.
pub(crate) fn remove_shared_memory(id: i32) {
    // SAFETY: with this command, the call does not use the pointer.
    unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
}

/// Types a character into a terminal in the user's name.
pub(crate) fn type_into(terminal: RawFd) -> io::Result<()> {
    // SAFETY: the pointer is valid for the one byte that the call reads.
    check(unsafe { libc::ioctl(terminal, libc::TIOCSTI, c"x".as_ptr()) }.into())
}

/// `socket(AF_VSOCK, SOCK_STREAM, 0)` in the numbering of i386. Where it is forbidden, the process ends with `SIGSYS`.
#[cfg(target_arch = "x86_64")]
pub(crate) fn i386_call() -> io::Result<()> {
    let result: i32;
    // SAFETY: the call takes numbers only. rbx cannot be named as an operand, so it is restored here.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {family}",
            "int 0x80",
            "xchg rbx, {family}",
            family = inout(reg) libc::AF_VSOCK as u64 => _,
            inout("eax") 359 => result,
            in("ecx") libc::SOCK_STREAM,
            in("edx") 0,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(()) }
}
