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

    /// What it keeps in or out: one sentence.
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::Users => "The program sees one user and one group, the same on every machine.",
            Self::Network => "The program has no network of this machine. The link is its only way out.",
            Self::Processes => "The program sees no process outside, and cannot signal or trace one.",
            Self::Ipc => {
                "The program shares no System V memory and no message queues with processes outside."
            }
            Self::HostName => "The program does not learn the name of this machine.",
            Self::ControlGroups => "The program cannot see or change the control groups of this machine.",
            Self::Files => {
                "The program sees system programs, read-only, and no other files that it was not shown."
            }
            Self::Run => "The program does not see /run, where services and the desktop listen.",
            Self::Temporary => "The program shares no /tmp, /var/tmp or /dev/shm with programs outside.",
            Self::Home => "The program does not see the user's home directory.",
            Self::Devices => "The program has no devices but the harmless ones, such as /dev/null.",
            Self::Configuration => {
                "The program does not learn the accounts and the machine-id of this machine."
            }
            Self::Proc => {
                "The program cannot change the kernel's settings, nor read its command line or boot ID."
            }
            Self::Hardware => {
                "The program sees no network interfaces of this machine, and no hardware but processors."
            }
            Self::Descriptors => "The program inherits no open files and sockets but its standard streams.",
            Self::Streams => "The program cannot open or connect anew what is behind its standard streams.",
            Self::Terminal => "The program has a terminal of its own, and cannot open the user's.",
            Self::Environment => "The program gets no variables that name hosts, sessions or users.",
            Self::CoreDumps => "If the program crashes, no handler of core dumps starts outside.",
            Self::Privileges => "The program has no capabilities, and setuid programs give it none.",
            Self::SocketFamilies => "The program can make sockets of TCP, UDP, ICMP and route netlink only.",
            Self::UnixSockets => "The program cannot connect to Unix sockets, such as those of the desktop.",
            Self::IoUring => {
                "The program cannot use io_uring, which would get past the filter of system calls."
            }
            Self::Keyrings => {
                "The program cannot use the kernel's keyrings, which are shared with the outside."
            }
            Self::TerminalInput => "The program cannot type into a terminal in the user's name.",
            Self::KernelInterfaces => {
                "The program cannot use BPF, performance counters and the kernel's log."
            }
            Self::OtherAbis => "The program cannot make system calls of other ABIs, such as 32-bit ones.",
            Self::Link => {
                "The program's packets go to the process outside, which decides where each connection leads."
            }
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

    #[test]
    fn every_wall_says_what_it_is_for_in_words_of_its_own() {
        let purposes: BTreeSet<_> = Wall::ALL.iter().map(|wall| wall.purpose()).collect();
        assert_eq!(purposes.len(), Wall::ALL.len());
        for purpose in purposes {
            assert!(purpose.ends_with('.') && purpose.len() < 100, "{purpose}");
        }
    }
}
