//! The process outside that hostile programs try to reach.

use std::{
    fs::{self, File, Permissions},
    io::{self, IoSlice, Write},
    mem::MaybeUninit,
    net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, AsRawFd},
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixDatagram, UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use rustix::{
    fs::{CWD, FileType, Mode, fstat, mknodat},
    io::{FdFlags, fcntl_setfd},
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
    system::uname,
};

use super::{
    super::raw,
    identity,
    targets::{GREETING, Targets},
};

/// Listeners and files outside. They are gone when it is dropped, but for threads that wait for clients.
pub struct Accomplice {
    targets: Targets,
    files: Vec<PathBuf>,
    shared_memory: Option<i32>,
    /// What programs inherit, and what must stay open meanwhile.
    _open: (TcpStream, UnixDatagram, File),
}

impl Accomplice {
    /// Opens everything, for all users, so that nothing but walls holds. `home` is a directory that belongs to this user, in the place
    /// of a home directory; `temporary` is one in `/tmp`, and `run` is `/run` or one in it. Sockets in it are left out if this user may
    /// not make any there.
    ///
    /// # Errors
    ///
    /// Something could not be opened.
    pub fn start(home: &Path, temporary: &Path, run: &Path) -> io::Result<Self> {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let inherited = TcpStream::connect(tcp.local_addr()?)?;
        // Programs that this process starts get it: that is the point.
        fcntl_setfd(&inherited, FdFlags::empty())?;
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut targets = targets_of_this_machine(home, temporary, run);
        targets.tcp = tcp.local_addr()?.port();
        targets.udp = udp.local_addr()?.port();
        targets.inherited = inherited.as_raw_fd();
        greet_tcp(tcp);
        targets.tcp6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).ok().and_then(|listener| {
            let port = listener.local_addr().ok()?.port();
            greet_tcp(listener);
            Some(port)
        });
        answer_udp(udp);
        let name = SocketAddr::from_abstract_name(&targets.abstract_socket)?;
        greet_unix(UnixListener::bind_addr(&name)?, targets.tcp);
        for path in [&targets.home_socket, &targets.temporary_socket] {
            greet_unix(UnixListener::bind(path)?, targets.tcp);
        }
        let datagrams = UnixDatagram::bind(&targets.home_datagrams)?;
        fs::write(&targets.home_script, "")?;
        mknodat(CWD, &targets.home_fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        let sockets = [&targets.home_socket, &targets.temporary_socket, &targets.home_datagrams];
        for path in sockets.into_iter().chain([&targets.home_script, &targets.home_fifo]) {
            open_to_all(path)?;
        }
        let fifo = File::options().read(true).write(true).open(&targets.home_fifo)?;
        // Last, since they are not in directories of this user alone. Others can put links to other files there.
        let shared = File::options().write(true).create_new(true).open(&targets.shared_file)?;
        shared.set_permissions(Permissions::from_mode(0o666))?;
        targets.run_socket = targets.run_socket.filter(|path| {
            let listener = UnixListener::bind(path).and_then(|listener| open_to_all(path).map(|()| listener));
            listener.map(|listener| greet_unix(listener, targets.tcp)).is_ok()
        });
        let shared_memory = raw::hostile::shared_memory(targets.shared_memory_key, true).ok();
        let files = [targets.shared_file.clone()].into_iter().chain(targets.run_socket.clone()).collect();
        Ok(Self { targets, files, shared_memory, _open: (inherited, datagrams, fifo) })
    }

    /// What a hostile program tries to reach.
    pub const fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Tells the hostile program which pipe other programs have, too.
    ///
    /// # Errors
    ///
    /// The system does not tell what it is.
    pub fn add_pipe(&mut self, pipe: impl AsFd) -> io::Result<()> {
        let found = fstat(pipe)?;
        self.targets.pipes.push((found.st_dev, found.st_ino));
        Ok(())
    }

    /// Tells the hostile program which terminal is the user's.
    ///
    /// # Errors
    ///
    /// The system does not tell what it is.
    pub fn set_terminal(&mut self, terminal: impl AsFd) -> io::Result<()> {
        self.targets.terminal = Some(identity::device(terminal)?);
        Ok(())
    }
}

impl Drop for Accomplice {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        if let Some(id) = self.shared_memory {
            raw::hostile::remove_shared_memory(id);
        }
    }
}

/// How many accomplices this process has had: their names differ.
static STARTED: AtomicU32 = AtomicU32::new(0);

fn targets_of_this_machine(home: &Path, temporary: &Path, run: &Path) -> Targets {
    let pid = process::id();
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    // Nobody can guess it, and have it before.
    let random = identity::read("/proc/sys/kernel/random/uuid");
    let name = format!("i2p-contain-{pid}-{number}-{}", random.trim());
    // Not what a sandbox has, too, and nothing that may be gone soon.
    let stays = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        !["lock", "user"].contains(&name.as_str()) && !name.starts_with("i2p-contain-")
    };
    let entries = fs::read_dir("/run").into_iter().flatten().flatten().map(|entry| entry.path());
    Targets {
        abstract_socket: name.clone(),
        home_socket: home.join("socket"),
        home_datagrams: home.join("datagrams"),
        home_script: home.join("script"),
        home_fifo: home.join("fifo"),
        temporary_socket: temporary.join("socket"),
        run_socket: Some(run.join(&name)),
        run_entry: { entries }.find(stays),
        shared_file: Path::new("/dev/shm").join(&name),
        shared_memory_key: i32::try_from(pid << 8 | number).unwrap_or(1),
        process: i32::try_from(pid).unwrap_or_default(),
        host_name: uname().nodename().to_string_lossy().into_owned(),
        domain_name: uname().domainname().to_string_lossy().into_owned(),
        names: identity::names(home),
        machine_id: identity::read("/etc/machine-id"),
        boot_id: identity::read("/proc/sys/kernel/random/boot_id"),
        accounts: identity::read("/etc/passwd"),
        control_group: identity::read("/proc/self/cgroup"),
        interfaces: identity::interfaces(),
        ..Targets::default()
    }
}

fn open_to_all(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o666))
}

fn greet_tcp(listener: TcpListener) {
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(GREETING);
        }
    });
}

fn answer_udp(socket: UdpSocket) {
    thread::spawn(move || {
        let mut buffer = [0; 16];
        while let Ok((_, client)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(GREETING, client);
        }
    });
}

/// Greets each client, and gives it a connection of the host's network.
fn greet_unix(listener: UnixListener, tcp: u16) {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = greet_with_descriptor(&stream, tcp);
        }
    });
}

fn greet_with_descriptor(stream: &UnixStream, tcp: u16) -> io::Result<()> {
    let gift = TcpStream::connect((Ipv4Addr::LOCALHOST, tcp))?;
    let rights = [gift.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&rights));
    sendmsg(stream, &[IoSlice::new(GREETING)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}
