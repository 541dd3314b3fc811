//! Tries interfaces of the kernel that look beyond the program.

use std::{fs::File, io, os::fd::AsRawFd};

use super::{
    super::raw::hostile,
    rows::{I386, Rows, worked},
};

pub(super) fn try_all(rows: &mut Rows) {
    rows.add("io_uring", worked(hostile::io_uring()));
    rows.add("keyring of the session", worked(hostile::session_keyring()));
    rows.add("request_key", request_key());
    rows.add("BPF", worked(hostile::bpf_map()));
    rows.add("performance counters", worked(hostile::performance_counter()));
    rows.add("log of the kernel", worked(hostile::kernel_log()));
    rows.add("typing into the terminal", type_into_terminal());
    #[cfg(target_arch = "x86_64")]
    rows.add_apart("i386 system call", I386);
}

/// That there is no such key is the answer of a program that the kernel has started outside.
fn request_key() -> io::Result<String> {
    match hostile::request_dns_key(c"example.i2p") {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Err(error),
        Err(error) => Ok(format!("the kernel has asked a program outside: {error}")),
        Ok(()) => Ok("it worked".to_owned()),
    }
}

fn type_into_terminal() -> io::Result<String> {
    let terminal = File::open("/dev/tty")?;
    worked(hostile::type_into(terminal.as_raw_fd()))
}

/// A call of another ABI, in a process of its own, since the filter ends it.
pub(super) fn i386_call() -> io::Result<()> {
    #[cfg(target_arch = "x86_64")]
    return hostile::i386_call();
    #[cfg(not(target_arch = "x86_64"))]
    Err(io::ErrorKind::Unsupported.into())
}
