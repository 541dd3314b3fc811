//! Settings of TCP in the network namespace of this thread.

use std::{fmt::Display, fs};

/// Sets one. Where `/proc/sys` may not be written, the kernel's own value stays.
pub(super) fn set(name: &str, value: impl Display) {
    let _ = fs::write(format!("/proc/sys/net/ipv4/{name}"), value.to_string());
}
