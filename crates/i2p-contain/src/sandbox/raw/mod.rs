//! System calls for which no safe crate has a function. This is the only module with `unsafe` code: the crates that the
//! rest uses (rustix, nix) do not have these calls, or declare them unsafe because of flags that are not used here.

#![allow(unsafe_code)]

pub(super) mod hostile;

use std::{ffi::CStr, io};

/// Makes the kernel close all descriptors from `first` on when this process executes another program.
pub(super) fn close_from_on_exec(first: u32) -> io::Result<()> {
    // SAFETY: the call takes three numbers. It only sets a flag of descriptors, so no owner of one loses it before the
    // process becomes another program.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) })
}

/// Adds attributes (`MOUNT_ATTR_*`) to what is mounted at `path`, and, if `recursive`, everywhere below.
pub(super) fn add_mount_attributes(path: &CStr, attributes: u64, recursive: bool) -> io::Result<()> {
    let flags = if recursive { libc::AT_RECURSIVE } else { 0 };
    let change = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: both pointers are valid for the length of the call, and the last argument is the size of what `change`
    // points to.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            &raw const change,
            size_of::<libc::mount_attr>(),
        )
    })
}

fn check(result: i64) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
