//! The root directory of a contained program, as a list of steps: pure data.

use std::{collections::BTreeSet, ffi::OsString, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    layout,
    request::{Bind, Entry, EntryKind, Home, Host, Request},
    wall::Wall,
};

/// One step of making the root directory. Paths are those that the program sees; sources are the host's.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct FileStep {
    /// The wall that the step is a part of.
    pub(super) wall: Wall,
    /// Where.
    pub(super) path: OsString,
    /// What.
    pub(super) action: FileAction,
}

/// What is made at a path.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum FileAction {
    /// A directory with this mode.
    Directory(u32),
    /// A file with this text.
    File(String),
    /// A symbolic link.
    Link(OsString),
    /// A file system in memory, whose root has this mode.
    Memory(u32),
    /// A path of the host, with everything that is mounted below it. No part of one of the user's is a link: it has
    /// been resolved.
    Bind { source: OsString, directory: bool, writable: bool, users: bool },
    /// The host's own, as it is: for tests that leave out a wall.
    Hosts,
    /// A device of the host.
    Device,
    /// A new instance of the pseudoterminals.
    Pseudoterminals,
    /// A new view of the processes.
    Processes,
    /// A directory of another mount is made read-only, with everything below.
    ReadOnly,
    /// A mount is made read-only, without those below.
    ReadOnlyMount,
    /// A file that is there is covered with another text. It may be missing.
    Cover(String),
    /// A directory that is there is covered with an empty one. It may be missing.
    CoverDirectory,
}

/// The steps that make the root directory.
pub(super) fn steps(request: &Request, host: &Host, walls: &BTreeSet<Wall>, home: &Path) -> Vec<FileStep> {
    let mut steps = Steps { walls, list: Vec::new() };
    steps.programs(host);
    steps.own_or_hosts(Wall::Devices, "/dev", Steps::devices);
    steps.own_or_hosts(Wall::Configuration, "/etc", |steps| steps.configuration(request, host, home));
    steps.own_or_hosts(Wall::Proc, "/proc", |steps| steps.processes(host));
    steps.own_or_hosts(Wall::Hardware, "/sys", |steps| steps.hardware(host));
    steps.own_or_hosts(Wall::Run, "/run", |steps| {
        steps.add(Wall::Run, "/run", FileAction::Memory(0o755));
        steps.add(Wall::Run, "/run/lock", FileAction::Directory(0o1777));
        steps.add(Wall::Run, layout::RUNTIME_DIR, FileAction::Directory(0o700));
    });
    for path in ["/tmp", "/var/tmp", "/dev/shm"] {
        steps.own_or_hosts(Wall::Temporary, path, |steps| {
            steps.add(Wall::Temporary, path, FileAction::Memory(0o1777));
        });
    }
    steps.home(request, host, home);
    steps.binds(request, host);
    steps.close(request, host);
    if walls.contains(&Wall::Devices) {
        steps.add(Wall::Devices, "/dev", FileAction::ReadOnlyMount);
    }
    steps.list
}

struct Steps<'a> {
    walls: &'a BTreeSet<Wall>,
    list: Vec<FileStep>,
}

impl Steps<'_> {
    fn add(&mut self, wall: Wall, path: impl Into<OsString>, action: FileAction) {
        self.list.push(FileStep { wall, path: path.into(), action });
    }

    /// The own `path`, which `steps` make, or the host's if tests leave out the wall.
    fn own_or_hosts(&mut self, wall: Wall, path: &str, steps: impl FnOnce(&mut Self)) {
        if self.walls.contains(&wall) {
            return steps(self);
        }
        self.add(wall, path, FileAction::Hosts);
    }

    /// Shows an entry of the host, read-only, as what it is there.
    fn show(&mut self, wall: Wall, entry: &Entry) {
        let source = entry.path.clone().into_os_string();
        let action = match &entry.kind {
            EntryKind::Link(target) => FileAction::Link(target.into()),
            kind => FileAction::Bind {
                source: source.clone(),
                directory: *kind == EntryKind::Directory,
                writable: false,
                users: false,
            },
        };
        self.add(wall, source, action);
    }

    fn programs(&mut self, host: &Host) {
        let elsewhere = |entry: &&Entry| entry.path.starts_with("/etc") || entry.path.starts_with("/sys");
        for entry in host.entries.iter().filter(|entry| !elsewhere(entry)) {
            self.show(Wall::Files, entry);
        }
        self.add(Wall::Files, "/var", FileAction::Directory(0o755));
        self.add(Wall::Files, "/var/run", FileAction::Link("../run".into()));
        self.add(Wall::Files, "/var/lock", FileAction::Link("../run/lock".into()));
    }

    fn devices(&mut self) {
        self.add(Wall::Devices, "/dev", FileAction::Memory(0o755));
        for name in layout::DEVICES {
            self.add(Wall::Devices, format!("/dev/{name}"), FileAction::Device);
        }
        self.add(Wall::Devices, "/dev/pts", FileAction::Pseudoterminals);
        for (path, target) in [
            ("/dev/ptmx", "pts/ptmx"),
            ("/dev/fd", "/proc/self/fd"),
            ("/dev/stdin", "/proc/self/fd/0"),
            ("/dev/stdout", "/proc/self/fd/1"),
            ("/dev/stderr", "/proc/self/fd/2"),
        ] {
            self.add(Wall::Devices, path, FileAction::Link(target.into()));
        }
        self.add(Wall::Devices, "/dev/shm", FileAction::Directory(0o755));
    }

    fn configuration(&mut self, request: &Request, host: &Host, home: &Path) {
        self.add(Wall::Configuration, "/etc", FileAction::Directory(0o755));
        for entry in host.entries.iter().filter(|entry| entry.path.starts_with("/etc")) {
            self.show(Wall::Configuration, entry);
        }
        for path in layout::MASKED_KEYS {
            self.add(Wall::Configuration, *path, FileAction::CoverDirectory);
        }
        for path in layout::MASKED_CERTIFICATES {
            self.add(Wall::Configuration, *path, FileAction::Cover(String::new()));
        }
        let [machine_id, _] = &host.random_ids;
        let machine_id = machine_id.replace('-', "");
        let home = home.to_string_lossy();
        for (path, text) in layout::own_configuration(request.name_server, &machine_id, &home) {
            self.add(Wall::Configuration, path, FileAction::File(text));
        }
    }

    fn processes(&mut self, host: &Host) {
        if !self.walls.contains(&Wall::Processes) {
            // Those of a namespace can be shown by its owner only.
            return self.add(Wall::Proc, "/proc", FileAction::Hosts);
        }
        self.add(Wall::Proc, "/proc", FileAction::Processes);
        self.add(Wall::Proc, "/proc/sys", FileAction::ReadOnly);
        for path in layout::MASKED_PROC_FILES {
            self.add(Wall::Proc, *path, FileAction::Cover(String::new()));
        }
        for path in layout::MASKED_PROC_DIRECTORIES {
            self.add(Wall::Proc, *path, FileAction::CoverDirectory);
        }
        let [_, boot_id] = &host.random_ids;
        let boot_id = format!("{boot_id}\n");
        self.add(Wall::Proc, "/proc/sys/kernel/random/boot_id", FileAction::Cover(boot_id));
    }

    fn hardware(&mut self, host: &Host) {
        self.add(Wall::Hardware, "/sys", FileAction::Directory(0o755));
        for entry in host.entries.iter().filter(|entry| entry.path.starts_with("/sys")) {
            self.show(Wall::Hardware, entry);
        }
    }

    fn home(&mut self, request: &Request, host: &Host, home: &Path) {
        let bind = |path: &Path| FileAction::Bind {
            source: resolved(host, path).map_or(path, |entry| &entry.path).into(),
            directory: true,
            writable: true,
            users: true,
        };
        let action = match &request.home {
            Home::Temporary => FileAction::Memory(0o700),
            Home::Private(path) | Home::Share(path) => bind(path),
        };
        self.add(Wall::Home, home, action);
    }

    fn binds(&mut self, request: &Request, host: &Host) {
        let mut binds: Vec<&Bind> = request.binds.iter().collect();
        binds.sort_by_key(|bind| bind.path.components().count());
        for bind in binds {
            let Some(entry) = resolved(host, &bind.path) else { continue };
            let action = FileAction::Bind {
                source: entry.path.clone().into(),
                directory: entry.kind == EntryKind::Directory,
                writable: bind.writable,
                users: true,
            };
            self.add(Wall::Files, bind.path.clone(), action);
        }
    }

    /// Covers the closed directories wherever they are shown.
    fn close(&mut self, request: &Request, host: &Host) {
        let closed: Vec<_> = request.closed.iter().filter_map(|path| resolved(host, path)).collect();
        for path in request.shown() {
            let Some(entry) = resolved(host, path) else { continue };
            for below in closed.iter().filter_map(|closed| closed.path.strip_prefix(&entry.path).ok()) {
                self.add(Wall::Files, path.join(below), FileAction::CoverDirectory);
            }
        }
    }
}

/// What a path of the request leads to.
pub(super) fn resolved<'a>(host: &'a Host, path: &Path) -> Option<&'a Entry> {
    host.resolved.iter().find(|(asked, _)| asked == path).map(|(_, entry)| entry)
}
