//! The first stage: makes the namespaces, opens the link in them, and waits for the second stage, which runs in them.

use std::{
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::ExitStatusExt,
    },
    process::{Child, ExitStatus},
    time::Duration,
};

use nix::{
    sched::{CloneFlags, unshare},
    unistd::{Gid, Uid, setgroups, setresgid, setresuid},
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{DumpableBehavior, Pid, PidfdFlags, getgid, getuid, pidfd_open, set_dumpable_behavior, setsid},
    thread::{CapabilitySet, capabilities, configure_capability_in_ambient_set, set_capabilities},
};

use super::{
    control::Control,
    layout,
    plan::Plan,
    privileges, raw,
    refusal::{OrRefuse, Refusal},
    stage::{REFUSED, Stage},
    tun_of_root,
    users::{self, UNPRIVILEGED},
    wall::Wall,
};

/// What the second stage needs capabilities for: mounts, the host name, dropping capabilities; the link needs the
/// network's.
const NEEDED: [CapabilitySet; 4] = [
    CapabilitySet::SYS_ADMIN,
    CapabilitySet::NET_ADMIN,
    CapabilitySet::NET_BIND_SERVICE,
    CapabilitySet::SETPCAP,
];

/// Runs the stage. Returns the exit code of the program.
pub(super) fn run(link: impl FnOnce(Duration) -> Result<Vec<OwnedFd>, Refusal>) -> io::Result<u8> {
    let control = Control::of_stage()?;
    let (plan, _) = control.receive::<Plan>()?;
    let prepared = prepare(&plan).and_then(|()| link(plan.connect_timeout));
    match prepared {
        Ok(descriptors) => {
            let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            control.send(&Ok::<(), Refusal>(()), &borrowed)?;
        }
        Err(refusal) => {
            control.send(&Err::<(), _>(refusal), &[])?;
            return Ok(REFUSED);
        }
    }
    // The link's descriptors are closed here: when the process outside ends, programs inside get an error and do not hang.
    // It now serves the link, and says so.
    control.receive::<()>()?;
    match prepare_for_init(&plan).and_then(|()| start_init(&control)) {
        Ok((child, pidfd)) => {
            control.send(&Ok::<(), Refusal>(()), &[pidfd.as_fd()])?;
            privileges::drop_capabilities()?;
            watch(&control, child, &pidfd)
        }
        Err(refusal) => {
            control.send(&Err::<(), _>(refusal), &[])?;
            Ok(REFUSED)
        }
    }
}

fn prepare(plan: &Plan) -> Result<(), Refusal> {
    if plan.has(Wall::Descriptors) {
        raw::close_from_on_exec(3).or_refuse(Wall::Descriptors, "closing inherited descriptors")?;
    }
    if plan.has(Wall::Terminal) {
        // The user's terminal sends signals to its own session only, and cannot be opened by others as theirs.
        setsid().or_refuse(Wall::Terminal, "leaving the session")?;
    }
    make_user_namespace()?;
    make_namespaces(
        plan,
        &[
            (Wall::Network, CloneFlags::CLONE_NEWNET),
            (Wall::Ipc, CloneFlags::CLONE_NEWIPC),
            (Wall::HostName, CloneFlags::CLONE_NEWUTS),
            (Wall::ControlGroups, CloneFlags::CLONE_NEWCGROUP),
        ],
    )?;
    if plan.has(Wall::Network) {
        allow_ping().or_refuse(Wall::Network, "allowing ping")?;
    }
    if plan.has(Wall::ControlGroups) {
        forbid_control_groups().or_refuse(Wall::ControlGroups, "forbidding others")?;
    }
    keep_capabilities().or_refuse(Wall::Users, "keeping capabilities for the next stage")
}

/// Makes the namespace that holds for the processes that this one starts, after those that the link may need.
fn prepare_for_init(plan: &Plan) -> Result<(), Refusal> {
    make_namespaces(plan, &[(Wall::Processes, CloneFlags::CLONE_NEWPID)])
}

fn make_namespaces(plan: &Plan, namespaces: &[(Wall, CloneFlags)]) -> Result<(), Refusal> {
    for (wall, flag) in namespaces.iter().filter(|(wall, _)| plan.has(*wall)) {
        unshare(*flag).or_refuse(*wall, "making the namespace")?;
    }
    Ok(())
}

/// Makes a user namespace in which this user is the same one for everybody. It is never root to the kernel.
fn make_user_namespace() -> Result<(), Refusal> {
    if users::is_root().or_refuse(Wall::Users, "finding out who this user is")? {
        // If this fails, the link says so, if there is to be one: it cannot open the device.
        let _ = tun_of_root::give_to(UNPRIVILEGED);
        become_unprivileged().map_err(|error| {
            let cause = format!("root cannot become the user {UNPRIVILEGED}: {error}");
            Refusal::because(Wall::Users, cause).advising("Start it as another user")
        })?;
    }
    let (user, group) = (getuid(), getgid());
    unshare(CloneFlags::CLONE_NEWUSER).or_refuse(Wall::Users, "making the namespace")?;
    fs::write("/proc/self/setgroups", "deny").or_refuse(Wall::Users, "fixing the groups")?;
    let id = layout::USER_ID;
    fs::write("/proc/self/uid_map", format!("{id} {} 1", user.as_raw()))
        .or_refuse(Wall::Users, "mapping the user")?;
    fs::write("/proc/self/gid_map", format!("{id} {} 1", group.as_raw()))
        .or_refuse(Wall::Users, "mapping the group")
}

/// Becomes a user without privileges, who may make a user namespace and write its maps.
fn become_unprivileged() -> io::Result<()> {
    let (user, group) = (Uid::from_raw(UNPRIVILEGED), Gid::from_raw(UNPRIVILEGED));
    setgroups(&[])?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)?;
    // The files of this process in /proc are root's from then on, unless it says this.
    Ok(set_dumpable_behavior(DumpableBehavior::Dumpable)?)
}

/// Lets the program use ICMP echo sockets, which need no capability.
fn allow_ping() -> io::Result<()> {
    let group = layout::USER_ID;
    fs::write("/proc/sys/net/ipv4/ping_group_range", format!("{group} {group}"))
}

/// Who owns a control group namespace can mount the control groups of its processes, and freeze or end what else is in
/// them. So the program must not make any, nor any user namespace inside.
fn forbid_control_groups() -> io::Result<()> {
    fs::write("/proc/sys/user/max_cgroup_namespaces", "0")
}

/// Capabilities are lost when a user other than root executes a program, unless they are ambient.
fn keep_capabilities() -> io::Result<()> {
    let mut sets = capabilities(None)?;
    sets.inheritable = sets.permitted;
    set_capabilities(None, sets)?;
    for capability in NEEDED {
        configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

fn start_init(control: &Control) -> Result<(Child, OwnedFd), Refusal> {
    let connection = control.for_stage().or_refuse(Wall::Processes, "starting the next stage")?;
    let child = Stage::Init.command().stdin(connection).spawn();
    let mut child = child.map_err(|error| {
        let refusal = Refusal::new(Wall::Processes, "starting the next stage", &error);
        // It runs already, but maybe as root, whom it does not run as any more.
        match error.kind() {
            io::ErrorKind::PermissionDenied => refusal.advising("Let all users execute this program"),
            _ => refusal,
        }
    })?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pidfd = pid.map_or(Err(rustix::io::Errno::SRCH), |pid| pidfd_open(pid, PidfdFlags::empty()));
    if pidfd.is_err() {
        let _ = child.kill();
    }
    Ok((child, pidfd.or_refuse(Wall::Processes, "watching the next stage")?))
}

/// Waits for the end of the second stage, or of the process outside, which ends it, too.
fn watch(control: &Control, mut child: Child, pidfd: &OwnedFd) -> io::Result<u8> {
    loop {
        let outside = control.descriptor();
        let mut events =
            [PollFd::new(pidfd, PollFlags::IN), PollFd::from_borrowed_fd(outside, PollFlags::RDHUP)];
        match poll(&mut events, None) {
            Err(rustix::io::Errno::INTR) => continue,
            result => result?,
        };
        let [ended, outside_ended] = events.map(|event| !event.revents().is_empty());
        if outside_ended {
            child.kill()?;
        }
        if ended || outside_ended {
            return child.wait().map(exit_code);
        }
    }
}

/// The exit code that stands for this end: the program's own, or 128 and the number of the signal that ended it.
pub(super) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(exit_code(ExitStatus::from_raw(0)), 0);
        assert_eq!(exit_code(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(exit_code(ExitStatus::from_raw(15)), 143);
    }
}
