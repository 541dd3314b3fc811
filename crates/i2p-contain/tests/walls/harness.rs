//! Programs that start sandboxes: this program, with orders as its argument.

use std::{
    env,
    ffi::OsString,
    fmt::Debug,
    fs,
    io::{self, Write},
    net::TcpListener,
    os::{fd::OwnedFd, unix::fs::chown},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output, Stdio},
    thread,
};

use i2p_contain::sandbox::{
    Bind, Home, Plan, Prepared, Program, Refusal, Request, Wall,
    probes::{Accomplice, Check},
};
use libtest_mimic::Failed;
use rustix::process::{Signal, getuid, ioctl_tiocsctty, setsid};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// The first argument of a program that starts a sandbox.
const STARTER: &str = "start-sandbox";

/// The exit code of a starter whose sandbox has refused.
pub(crate) const REFUSED: i32 = 99;

/// What a sandbox is started with.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Orders {
    /// Walls that are left out.
    pub(crate) missing: Vec<Wall>,
    pub(crate) allow_unix: bool,
    /// A home directory that is shared.
    pub(crate) share: Option<PathBuf>,
    /// A home directory for programs in sandboxes only.
    pub(crate) private: Option<PathBuf>,
    pub(crate) read_only: Vec<PathBuf>,
    pub(crate) writable: Vec<PathBuf>,
    pub(crate) closed: Vec<PathBuf>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) program: Option<Program>,
    /// Whether the process outside leads the session of the terminal that is its input.
    pub(crate) leads_session: bool,
    /// Whether the program gets `SIGTERM` as soon as it has been started.
    pub(crate) terminate: bool,
    /// Whether the program is the hostile one of a check, whose rows are printed.
    pub(crate) check: bool,
}

impl Orders {
    /// Runs a line of a shell.
    pub(crate) fn shell(line: &str) -> Self {
        let arguments = vec!["-c".into(), line.into()];
        Self { program: Some(Program::Command { name: "sh".into(), arguments }), ..Self::default() }
    }

    /// The command that starts the sandbox.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.arg(STARTER).arg(serde_json::to_string(self).unwrap());
        command
    }

    /// Runs it to its end, without input.
    pub(crate) fn output(&self) -> Result<Output, Failed> {
        Ok(self.command().stdin(Stdio::null()).output()?)
    }

    fn request(self) -> Request {
        let bind = |writable| move |path| Bind { path, writable };
        let binds = self.read_only.into_iter().map(bind(false));
        Request {
            program: self.program.expect("a program"),
            home: match (self.share, self.private) {
                (Some(path), _) => Home::Share(path),
                (None, Some(path)) => Home::Private(path),
                (None, None) => Home::Temporary,
            },
            binds: binds.chain(self.writable.into_iter().map(bind(true))).collect(),
            closed: self.closed,
            allow_unix: self.allow_unix,
            environment: self.environment,
            name_server: [10, 64, 0, 1].into(),
            connect_timeout: std::time::Duration::from_secs(127),
        }
    }
}

/// Starts a sandbox if this process is there for it.
pub(crate) fn run_if_starter() -> Option<ExitCode> {
    let mut arguments = env::args().skip(1);
    if arguments.next()? != STARTER {
        return None;
    }
    let orders: Orders = serde_json::from_str(&arguments.next()?).unwrap();
    Some(match start(orders) {
        Ok(code) => ExitCode::from(code),
        Err(refusal) => {
            eprintln!("{refusal}");
            ExitCode::from(u8::try_from(REFUSED).unwrap())
        }
    })
}

fn start(mut orders: Orders) -> Result<u8, Refusal> {
    if orders.leads_session {
        setsid().unwrap();
        ioctl_tiocsctty(io::stdin()).unwrap();
    }
    let (missing, terminate) = (orders.missing.clone(), orders.terminate);
    let check = orders.check.then(|| Check::prepare().unwrap());
    if let Some(check) = &check {
        orders.program = Some(check.program());
    }
    let plan = Plan::leaving_out(&orders.request(), &missing).unwrap();
    let mut prepared = Prepared::new(plan)?;
    for listener in prepared.take_link().into_iter().map(TcpListener::from) {
        thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            client.write_all(b"through the link").unwrap();
        });
    }
    if let Some(check) = check {
        serde_json::to_writer(io::stdout(), &check.run(prepared).unwrap()).unwrap();
        return Ok(0);
    }
    let running = prepared.start()?;
    if terminate {
        running.signal(Signal::TERM).unwrap();
    }
    Ok(running.wait().unwrap())
}

/// Tells the first stage to make a link: a listener that the process outside serves.
pub(crate) const LINK: &str = "I2P_CONTAIN_TEST_LINK";

/// Makes the link, in the new network namespace.
pub(crate) fn open_link() -> Result<Vec<OwnedFd>, Refusal> {
    if env::var_os(LINK).is_none() {
        return Ok(Vec::new());
    }
    let refuse = |error: io::Error| Refusal::new(Wall::Link, "making it", &error);
    let up =
        Command::new("ip").args(["link", "set", "lo", "up"]).stdin(Stdio::null()).status().map_err(refuse)?;
    if !up.success() {
        return Err(Refusal::because(Wall::Link, "ip has failed"));
    }
    Ok(vec![TcpListener::bind("127.0.0.1:9040").map_err(refuse)?.into()])
}

/// Tells where in `/run` this user may make sockets.
pub(crate) const RUN: &str = "I2P_CONTAIN_TEST_RUN";

/// Starts the process outside that a hostile program tries to reach.
pub(crate) fn accomplice(directories: &Directories) -> io::Result<Accomplice> {
    let run = env::var_os(RUN).unwrap_or_else(|| "/run".into());
    Accomplice::start(directories.home(), directories.temporary.path(), Path::new(&run))
}

/// Fails with what was found.
pub(crate) fn check(condition: bool, found: &impl Debug) -> Result<(), Failed> {
    if condition { Ok(()) } else { Err(format!("{found:?}").into()) }
}

/// The user whom the programs of root are.
pub(crate) const PROGRAM_OF_ROOT: u32 = 65_521;

/// Gives a path to the user whom the program is: root's is another one.
pub(crate) fn give_to_program(path: &Path) {
    if is_root() {
        chown(path, Some(PROGRAM_OF_ROOT), Some(PROGRAM_OF_ROOT)).unwrap();
    }
}

pub(crate) fn is_root() -> bool {
    getuid().is_root()
}

/// Directories of the program's user: one in the place of a home directory, and one in `/tmp`.
pub(crate) struct Directories {
    pub(crate) home: TempDir,
    pub(crate) temporary: TempDir,
}

impl Directories {
    pub(crate) fn new() -> Self {
        // A home directory must not be in `/tmp`, which is a wall of its own.
        let places = ["/var/lib", "/home", "/var/tmp"];
        let make = |place: &&str| TempDir::with_prefix_in("i2p-contain-", place).ok();
        let home = places.iter().find_map(make).expect("a place for a home directory");
        let temporary = TempDir::with_prefix_in("i2p-contain-", "/tmp").unwrap();
        give_to_program(home.path());
        give_to_program(temporary.path());
        Self { home, temporary }
    }

    /// Makes a file in the home directory.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home().join(name);
        fs::write(&path, text).unwrap();
        give_to_program(&path);
        path
    }

    /// Makes a directory in the home directory.
    pub(crate) fn make(&self, name: &str) -> PathBuf {
        let path = self.home().join(name);
        fs::create_dir(&path).unwrap();
        give_to_program(&path);
        path
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }
}
