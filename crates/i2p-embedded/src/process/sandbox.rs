//! The walls around a router process. What a stranger who takes over the router can do from there is open TCP connections to any
//! address, also to services on this machine and in its local network, and change the router's own files.
//!
//! Everything here is for a process that still has one thread: Landlock and seccomp hold for the thread that asks for them and for
//! those that it starts.

use std::{io, path::Path};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How much writable memory a router process may take, in bytes. On a private network of four routers, one has taken 8 MiB. On the
/// public network, it also holds the descriptions of other routers, of which it reads at most 10,000 of some 2 KiB at its start.
pub(super) const MEMORY_LIMIT: u64 = 512 * 1024 * 1024;

/// The largest file that a router process may write. Its files have at most 64 KiB.
const FILE_SIZE_LIMIT: u64 = 1024 * 1024;

/// More open files are never needed, and each costs memory of the kernel.
const MOST_FILES: u64 = 1 << 20;

/// Makes the kernel end this process together with `parent`, which started it. Returns whether `parent` is still there.
pub(super) fn end_with_parent(parent: u32) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // It may have ended before: then this process has another parent, whose end would mean nothing.
    Ok(std::os::unix::process::parent_id() == parent)
}

/// Limits memory and files, and forbids core dumps, which would hold keys. Returns what could not be limited. Allows as many open
/// files as the system does: each stream of the program needs one here.
pub(super) fn limit_resources() -> Vec<String> {
    let files = getrlimit(Resource::Nofile);
    let most = files.maximum.map_or(MOST_FILES, |most| most.min(MOST_FILES));
    // With fewer, it works too, for fewer streams.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: files.maximum });
    let limits = [
        (Resource::Core, 0, "core dumps are not forbidden"),
        (Resource::Data, MEMORY_LIMIT, "memory is not limited"),
        (Resource::Fsize, FILE_SIZE_LIMIT, "the size of files is not limited"),
    ];
    let mut missing: Vec<_> = limits
        .into_iter()
        .filter_map(|(resource, most, what)| {
            let limit = Rlimit { current: Some(most), maximum: Some(most) };
            setrlimit(resource, limit).err().map(|error| format!("{what}: {error}"))
        })
        .collect();
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // Nor may another process of this user read its memory.
        let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable);
        missing.extend(hidden.err().map(|error| format!("its memory can be read: {error}")));
    }
    missing
}

/// Confines this thread, and those that it starts, to `state_dir`, to reading `readable`, and to the system calls of a router.
/// Returns what could not be confined: older kernels can do less.
#[cfg(target_os = "linux")]
pub(super) fn confine(state_dir: &Path, readable: Option<&Path>) -> Vec<String> {
    let privileges = rustix::thread::set_no_new_privs(true);
    let mut missing = Vec::new();
    missing.extend(privileges.err().map(|error| format!("it could gain privileges: {error}")));
    let files = confine_files(state_dir, readable);
    let calls = confine_system_calls();
    missing.extend(files.and_then(|enforced| sufficient(&enforced, calls.is_ok())).err());
    missing.extend(calls.err());
    missing
}

#[cfg(not(target_os = "linux"))]
pub(super) fn confine(_: &Path, _: Option<&Path>) -> Vec<String> {
    vec!["this system has neither Landlock nor seccomp".to_owned()]
}

/// Forbids all files but those in `state_dir`, and to read `readable`; to listen on TCP ports; and, where the kernel can, signals to
/// other processes.
#[cfg(target_os = "linux")]
fn confine_files(state_dir: &Path, readable: Option<&Path>) -> Result<landlock::RulesetStatus, String> {
    use landlock::{
        ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope, path_beneath_rules,
    };

    let change = AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::RemoveFile;
    let confined = || {
        let ruleset = Ruleset::default()
            .handle_access(AccessFs::from_all(ABI::V6))?
            .handle_access(AccessNet::BindTcp)?
            .scope(Scope::AbstractUnixSocket | Scope::Signal)?
            .create()?
            .add_rules(path_beneath_rules([state_dir], change))?
            .add_rules(path_beneath_rules(readable, AccessFs::ReadFile | AccessFs::ReadDir))?;
        ruleset.restrict_self()
    };
    let confined: Result<_, landlock::RulesetError> = confined();
    confined.map(|status| status.ruleset).map_err(|error| format!("Landlock: {error}"))
}

/// Whether so much of Landlock is enough. A part is, since the system calls that an older kernel does not confine are forbidden
/// altogether, unless there is no seccomp either.
#[cfg(target_os = "linux")]
fn sufficient(enforced: &landlock::RulesetStatus, has_seccomp: bool) -> Result<(), String> {
    use landlock::RulesetStatus::{FullyEnforced, NotEnforced, PartiallyEnforced};
    match enforced {
        FullyEnforced => Ok(()),
        PartiallyEnforced if has_seccomp => Ok(()),
        PartiallyEnforced => Err("Landlock: this kernel has only a part of it".to_owned()),
        NotEnforced => Err("Landlock: this kernel does not have it".to_owned()),
    }
}

/// Confines this thread, and those that it starts, to the system calls of a router.
#[cfg(target_os = "linux")]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
fn confine_system_calls() -> Result<(), String> {
    super::system_calls::confine().map_err(|error| format!("seccomp: {error}"))
}

#[cfg(target_os = "linux")]
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
fn confine_system_calls() -> Result<(), String> {
    Err("seccomp: not available for this processor".to_owned())
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::{
        env, fs,
        net::{TcpListener, TcpStream, UdpSocket},
        os::unix::{
            fs::{PermissionsExt, symlink},
            net::{UnixListener, UnixStream},
            process::CommandExt,
        },
        process::Command,
        thread,
    };

    use rustix::process::{
        DumpableBehavior, Pid, getppid, pidfd_open, set_dumpable_behavior, test_kill_process,
    };

    use super::*;

    /// Tells the test that it runs in a process of its own, and what it may use: the walls cannot be taken down again.
    const INSIDE: &str = "I2P_EMBEDDED_TEST_INSIDE";

    #[test]
    fn a_confined_process_does_what_a_router_does_and_nothing_else() {
        if let Ok(inside) = env::var(INSIDE) {
            let (port, dir) = inside.split_once(' ').unwrap();
            return inside_the_walls(Path::new(dir), port.parse().unwrap());
        }
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("inside");
        fs::create_dir(&inside).unwrap();
        let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let name = "process::sandbox::tests::a_confined_process_does_what_a_router_does_and_nothing_else";
        let status = Command::new(env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(INSIDE, format!("{port} {}", inside.display()))
            .status();
        assert!(status.unwrap().success());
    }

    fn inside_the_walls(dir: &Path, port: u16) {
        let parent = getppid().unwrap();
        let none: [String; 0] = [];
        assert_eq!(limit_resources(), none);
        assert_eq!(confine(dir, None), none);

        // A router's work.
        let file = dir.join("file");
        fs::write(&file, "text").unwrap();
        fs::rename(&file, dir.join("renamed")).unwrap();
        assert_eq!(fs::read(dir.join("renamed")).unwrap(), b"text");
        assert_eq!(fs::read_dir(dir).unwrap().count(), 1);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(UnixStream::pair().is_ok());
        assert_eq!(thread::spawn(|| 1).join().unwrap(), 1);

        // Files of others, and what Landlock knows nothing of.
        let renamed = dir.join("renamed");
        assert!(fs::read("/etc/passwd").is_err());
        assert!(fs::read("/proc/self/environ").is_err());
        assert!(fs::read_dir("/").is_err());
        assert!(fs::write(env::temp_dir().join("i2p-embedded-escape"), "").is_err());
        assert!(fs::set_permissions(&renamed, fs::Permissions::from_mode(0o777)).is_err());
        assert!(fs::set_permissions("/", fs::Permissions::from_mode(0o777)).is_err());
        assert!(symlink("/etc", dir.join("link")).is_err());
        assert!(fs::hard_link(&renamed, dir.join("second")).is_err());
        assert!(fs::create_dir(dir.join("directory")).is_err());
        fs::remove_file(&renamed).unwrap();

        // Programs and processes.
        assert!(Command::new("/bin/true").status().is_err());
        assert!(Command::new("/bin/true").exec().raw_os_error().is_some());
        assert!(test_kill_process(parent).is_err());
        assert!(test_kill_process(Pid::INIT).is_err());
        assert!(pidfd_open(parent, rustix::process::PidfdFlags::empty()).is_err());
        assert!(set_dumpable_behavior(DumpableBehavior::Dumpable).is_err());
        let unlimited = Rlimit { current: None, maximum: None };
        assert!(setrlimit(Resource::Data, unlimited).is_err());

        // Sockets.
        assert!(TcpListener::bind("127.0.0.1:0").is_err());
        assert!(UdpSocket::bind("127.0.0.1:0").is_err());
        assert!(UnixListener::bind(dir.join("socket")).is_err());
        assert!(UnixStream::connect(dir.parent().unwrap().join("socket")).is_err());
    }
}
