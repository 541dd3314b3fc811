//! Tries to look into processes outside, and to share memory and mounts with them.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IoSliceMut},
};

use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::{
        ptrace,
        signal::kill,
        uio::{RemoteIoVec, process_vm_readv},
    },
    unistd::Pid,
};
use rustix::{
    mount::{MountFlags, UnmountFlags, mount, unmount},
    process::{PidfdFlags, PidfdGetfdFlags, getrlimit, pidfd_getfd, pidfd_open},
};

use super::{
    super::raw,
    identity::read,
    rows::{CONTROL_GROUPS, Rows, UNMOUNT, worked},
    targets::Targets,
};

/// Devices through which a program reaches hardware, the kernel's log or networks.
const DEVICES: [&str; 12] = [
    "/dev/dri/card0",
    "/dev/dri/renderD128",
    "/dev/fuse",
    "/dev/hidraw0",
    "/dev/input/event0",
    "/dev/kmsg",
    "/dev/kvm",
    "/dev/mem",
    "/dev/net/tun",
    "/dev/snd/controlC0",
    "/dev/video0",
    "/dev/vsock",
];

pub(super) fn try_all(rows: &mut Rows, targets: &Targets) {
    let pid = Pid::from_raw(targets.process);
    rows.add("ptrace of a process outside", trace(pid));
    rows.add("memory of a process outside", read_memory(pid));
    rows.add("signal to a process outside", worked(kill(pid, None)));
    rows.add("files of a process outside", worked(fs::read_dir(format!("/proc/{pid}/root/"))));
    let namespace = File::open(format!("/proc/{pid}/ns/net"));
    let enter = |file| setns(file, CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
    // Inside a sandbox, it is the only process that was there before the walls.
    rows.add("process 1", worked(fs::read_link("/proc/1/exe")));
    rows.add("network of a process outside", worked(namespace.and_then(enter)));
    rows.add("a descriptor of a process outside", take_descriptor(targets.process));
    rows.add("System V shared memory", worked(raw::hostile::shared_memory(targets.shared_memory_key, false)));
    // A program that sees one knows the machine better, even if it may not open it.
    let is_there = |path: &&&str| fs::symlink_metadata(path).is_ok();
    let found: Vec<_> = DEVICES.iter().filter(is_there).map(|path| (*path).to_owned()).collect();
    rows.add_found("devices of the machine", &found);
    let setting = OpenOptions::new().write(true).open("/proc/sys/kernel/core_pattern");
    rows.add("settings of the kernel", worked(setting));
    rows.add("core dump handler", core_dumps());
    rows.add("capabilities or setuid programs", privileges());
    rows.add_apart("unmounting in another user namespace", UNMOUNT);
    rows.add_apart("control groups of the machine in another namespace", CONTROL_GROUPS);
    let interrupts = fs::read_dir("/proc/irq").into_iter().flatten().flatten();
    let mut interrupts: Vec<_> = interrupts.map(|entry| entry.path().display().to_string()).collect();
    // Their counters tell of cards, disks and keys.
    let counters = ["/proc/interrupts", "/proc/softirqs"];
    interrupts.extend(counters.into_iter().filter(|file| !read(file).is_empty()).map(str::to_owned));
    rows.add_found("interrupts of the machine", &interrupts);
}

fn trace(pid: Pid) -> io::Result<String> {
    ptrace::attach(pid)?;
    nix::sys::wait::waitpid(pid, None)?;
    let _ = ptrace::detach(pid, None);
    Ok("attached".to_owned())
}

/// Reads where programs that are not relocated are, and where this one would be if it were the same.
fn read_memory(pid: Pid) -> io::Result<String> {
    let mut bytes = [0; 8];
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let start = maps.split('-').next().and_then(|start| usize::from_str_radix(start, 16).ok());
    let remote = RemoteIoVec { base: start.unwrap_or(0x40_0000), len: bytes.len() };
    worked(process_vm_readv(pid, &mut [IoSliceMut::new(&mut bytes)], &[remote]))
}

fn take_descriptor(process: i32) -> io::Result<String> {
    let pid = rustix::process::Pid::from_raw(process).ok_or(io::ErrorKind::InvalidInput)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    worked(pidfd_getfd(&pidfd, 1, PidfdGetfdFlags::empty()))
}

/// With a limit of 1, the kernel starts no handler (core(5)).
fn core_dumps() -> Result<String, String> {
    match getrlimit(rustix::process::Resource::Core).current {
        Some(1) => Err("limit 1".to_owned()),
        limit => Ok(format!("limit {limit:?}")),
    }
}

fn privileges() -> io::Result<String> {
    let sets = rustix::thread::capabilities(None)?;
    if !sets.permitted.is_empty() {
        return Ok(format!("{:?}", sets.permitted));
    }
    if rustix::thread::no_new_privs()? {
        return Err(io::Error::other("no capabilities, no new privileges"));
    }
    Ok("setuid programs gain privileges".to_owned())
}

/// Mounts the machine's control groups, through which processes outside can be ended and stopped.
pub(super) fn mount_control_groups() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWCGROUP)?;
    Ok(mount("cgroup2", "/tmp", "cgroup2", MountFlags::empty(), c"")?)
}

/// Uncovers what a sandbox has covered, as the owner of another user namespace.
pub(super) fn unmount_mask() -> io::Result<()> {
    const MASK: &str = "/proc/sys/kernel/random/boot_id";
    if unmount(MASK, UnmountFlags::DETACH).is_ok() {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    Ok(unmount(MASK, UnmountFlags::DETACH)?)
}
