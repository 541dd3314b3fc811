//! The walls around a contained program, by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One wall: what it is made of, and what it keeps in. A sandbox has all of them, or it does not start.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
pub enum Wall {
    /// A user namespace of its own. All others rest on it.
    Users,
    /// An empty network namespace, with the link as its only way out.
    Network,
    /// A PID namespace: processes outside cannot be seen, signalled or traced.
    Processes,
    /// An IPC namespace: System V shared memory, semaphores and message queues.
    Ipc,
    /// A UTS namespace: the name of the machine.
    HostName,
    /// A control group namespace: the names of the user's session and services.
    ControlGroups,
    /// A mount namespace whose root shows system programs and what the user has asked for.
    Files,
    /// An own `/run`, where services and the desktop listen on Unix sockets.
    Run,
    /// Own `/tmp`, `/var/tmp` and `/dev/shm`, where programs meet.
    Temporary,
    /// An own home directory.
    Home,
    /// An own `/dev`, with `null`, `zero`, `full`, `random`, `urandom`, `tty` and pseudoterminals.
    Devices,
    /// An own `/etc`: resolver, accounts, identifiers of the machine.
    Configuration,
    /// An own `/proc` that hides identifiers of the machine, and cannot change the kernel's settings.
    Proc,
    /// An own `/sys`, without network interfaces and hardware but the number of processors.
    Hardware,
    /// Descriptors that were left open are closed.
    Descriptors,
    /// Whatever is in the place of the standard streams is replaced by pipes of its own.
    Streams,
    /// A session and a pseudoterminal of its own.
    Terminal,
    /// Only harmless variables of the environment.
    Environment,
    /// No core dumps, which a handler outside would process.
    CoreDumps,
    /// No capabilities, and no way to get any.
    Privileges,
    /// Sockets of TCP, UDP, ICMP and route netlink only.
    SocketFamilies,
    /// No Unix sockets but connected pairs.
    UnixSockets,
    /// No `io_uring`, which would make sockets past the filter.
    IoUring,
    /// No keyrings: they are shared with the outside, and make the kernel start programs there.
    Keyrings,
    /// No input into terminals in the user's name.
    TerminalInput,
    /// No kernel interfaces that look beyond the program, such as BPF, performance counters and the kernel's log.
    KernelInterfaces,
    /// No system calls in the numbering of other ABIs, which the filter would not recognise.
    OtherAbis,
    /// The link: a TUN device and addresses.
    Link,
}

impl Wall {
    /// Every wall, in the order in which they are built.
    pub const ALL: [Self; 28] = [
        Self::Users,
        Self::Network,
        Self::Processes,
        Self::Ipc,
        Self::HostName,
        Self::ControlGroups,
        Self::Link,
        Self::Files,
        Self::Run,
        Self::Temporary,
        Self::Home,
        Self::Devices,
        Self::Configuration,
        Self::Proc,
        Self::Hardware,
        Self::Descriptors,
        Self::Streams,
        Self::Terminal,
        Self::Environment,
        Self::CoreDumps,
        Self::Privileges,
        Self::SocketFamilies,
        Self::UnixSockets,
        Self::IoUring,
        Self::Keyrings,
        Self::TerminalInput,
        Self::KernelInterfaces,
        Self::OtherAbis,
    ];

    /// What it is called in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Users => "user namespace",
            Self::Network => "network namespace",
            Self::Processes => "PID namespace",
            Self::Ipc => "IPC namespace",
            Self::HostName => "own host name",
            Self::ControlGroups => "control group namespace",
            Self::Files => "own root directory",
            Self::Run => "own /run",
            Self::Temporary => "own /tmp and /dev/shm",
            Self::Home => "home directory",
            Self::Devices => "own /dev",
            Self::Configuration => "own /etc",
            Self::Proc => "own /proc",
            Self::Hardware => "own /sys",
            Self::Descriptors => "no inherited descriptors",
            Self::Streams => "pipes for standard streams",
            Self::Terminal => "own terminal",
            Self::Environment => "own environment",
            Self::CoreDumps => "no core dumps",
            Self::Privileges => "no privileges",
            Self::SocketFamilies => "socket families",
            Self::UnixSockets => "no Unix sockets",
            Self::IoUring => "no io_uring",
            Self::Keyrings => "no keyrings",
            Self::TerminalInput => "no terminal input",
            Self::KernelInterfaces => "no kernel interfaces",
            Self::OtherAbis => "no other ABIs",
            Self::Link => "link",
        }
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_wall_has_a_name_of_its_own_and_is_listed_once() {
        let names: BTreeSet<_> = Wall::ALL.iter().map(|wall| wall.name()).collect();
        assert_eq!(names.len(), Wall::ALL.len());
        assert_eq!(Wall::ALL.iter().collect::<BTreeSet<_>>().len(), Wall::ALL.len());
    }
}
