//! The TUN device, where only root may open it: root's programs run as another user, who has to.

use std::{
    io,
    os::unix::fs::{MetadataExt, chown},
};

use nix::sched::{CloneFlags, unshare};
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount},
};

/// The directory of the device.
const DIRECTORY: &str = "/dev/net";
/// The device.
const DEVICE: &str = "/dev/net/tun";
/// Reading and writing, for everybody.
const FOR_EVERYBODY: u32 = 0o006;

/// Gives a user a node of their own for the device, unless everybody may open it, as on most machines. Only this process sees it, in
/// a mount namespace of its own, and what it starts. Does nothing if there is no device.
///
/// # Errors
/// Root may not do that here, as in most containers.
pub(super) fn give_to(user: u32) -> io::Result<()> {
    let Ok(device) = std::fs::metadata(DEVICE) else { return Ok(()) };
    if device.mode() & FOR_EVERYBODY == FOR_EVERYBODY {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount("tmpfs", DIRECTORY, "tmpfs", MountFlags::NOSUID | MountFlags::NOEXEC, c"mode=755")?;
    let made = make_node(user, device.rdev());
    if made.is_err() {
        // What is opened instead tells the user what is wrong.
        unmount(DIRECTORY, UnmountFlags::DETACH)?;
    }
    made
}

fn make_node(user: u32, device: u64) -> io::Result<()> {
    mknodat(CWD, DEVICE, FileType::CharacterDevice, Mode::RUSR | Mode::WUSR, device)?;
    chown(DEVICE, Some(user), Some(user))
}
