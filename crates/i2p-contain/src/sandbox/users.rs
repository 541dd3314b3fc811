//! Who the program is to the kernel: the user who starts it, or somebody else if that is root.

use std::io;

/// The user and group that root becomes before anything of the sandbox is made, so that root's files stay closed.
///
/// No account has this number: Debian reserves it (Policy, 9.2.2), and systemd leaves it out of all of its ranges
/// (`UIDS-GIDS`). It is not 65534: services run as nobody, whose files and processes would be the program's, too.
pub(super) const UNPRIVILEGED: u32 = 65_521;

/// The number of users whom a namespace does not know.
#[cfg(target_os = "linux")]
const UNKNOWN: u32 = 65_534;

/// Who a user of this namespace is outside it, by the text of `/proc/self/uid_map`. Root of a namespace is somebody else
/// there, such as in a container without privileges.
pub(super) fn user_outside(map: &str, user: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let [inside, outside, count] = numbers[..] else { return None };
        let offset = user.checked_sub(inside).filter(|offset| *offset < count)?;
        outside.checked_add(offset)
    })
}

/// Whether this process is root to the kernel.
#[cfg(target_os = "linux")]
pub(super) fn is_root() -> io::Result<bool> {
    use std::{fs, os::unix::fs::MetadataExt};

    use rustix::process::{geteuid, getuid};

    let map = fs::read_to_string("/proc/self/uid_map")?;
    // The map ends at the namespace around this one, in which root may be called otherwise. The kernel's settings are root's.
    let root = fs::metadata("/proc/sys/kernel")?.uid();
    let is_root = |user| user_outside(&map, user) == Some(0) || (user == root && user != UNKNOWN);
    Ok([getuid(), geteuid()].iter().any(|user| is_root(user.as_raw())))
}

/// No program is started on other systems.
#[cfg(not(target_os = "linux"))]
pub(super) const fn is_root() -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_of_a_namespace_is_told_from_root_of_the_machine() {
        let (machine, container) = ("         0          0 4294967295\n", "0 1000 1\n1 100000 65536\n");
        assert_eq!(user_outside(machine, 0), Some(0));
        assert_eq!(user_outside(machine, 1000), Some(1000));
        assert_eq!(user_outside(container, 0), Some(1000));
        assert_eq!(user_outside(container, 2), Some(100_001));
        assert_eq!(user_outside(container, 70_000), None);
        assert_eq!(user_outside("1000 0 1\n", 1000), Some(0));
    }
}
