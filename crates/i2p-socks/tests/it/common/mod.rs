//! The binary as a user starts it.

#[cfg(unix)]
pub(crate) mod lab;
pub(crate) mod network;
pub(crate) mod peers;
pub(crate) mod site;
#[cfg(unix)]
pub(crate) mod stand_in;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// The longest time for any step. It is generous, since only a failure uses it up.
pub(crate) const LIMIT: Duration = Duration::from_secs(150);

/// The binary, without a configuration from the environment. `cargo xtask installed` sets the path of the installed program, to
/// run these tests on what users get.
pub(crate) fn i2p_socks(args: &[&str]) -> Command {
    let installed = std::env::var_os("I2P_SOCKS_TEST_BINARY");
    let mut command = Command::new(installed.unwrap_or_else(|| env!("CARGO_BIN_EXE_i2p-socks").into()));
    command.args(args);
    for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
        command.env_remove(name);
    }
    for name in ["LISTEN", "ROUTER", "SAM", "CONFIG", "STATE_DIR", "PASSWORD"] {
        command.env_remove(format!("I2P_SOCKS_{name}"));
    }
    // Tests must not use the user's own state: each process gets a directory that does not exist yet.
    static STATE: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    static NEXT: AtomicU32 = AtomicU32::new(0);
    command.env("STATE_DIRECTORY", STATE.path().join(NEXT.fetch_add(1, Relaxed).to_string()));
    command
}

/// Runs the binary to its end. Returns the exit code, stdout and stderr.
pub(crate) fn output(args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = i2p_socks(args).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Hands a socket down as systemd does, see sd_listen_fds(3). A shell takes systemd's place.
#[cfg(unix)]
pub(crate) fn activated(socket: std::os::fd::OwnedFd, names: &str, arguments: &[&str]) -> Running {
    let script = format!("exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 {names} exec \"$0\" \"$@\"");
    let binary = i2p_socks(&[]);
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(binary.get_program()).args(arguments).stdin(Stdio::from(socket));
    Running::of(command)
}

/// A running binary. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    out: Lines,
    err: Lines,
}

/// The lines read from a pipe so far.
type Lines = Arc<Mutex<Vec<String>>>;

impl Running {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut command = i2p_socks(args);
        command.stdin(Stdio::null());
        Self::of(command)
    }

    /// Starts a command that runs the binary, for callers that need more than arguments, such as an environment.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = collect(child.stdout.take().unwrap());
        let err = collect(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on stdout that begins with `start`.
    pub(crate) fn stdout_line(&mut self, start: &str) -> String {
        self.line(&Arc::clone(&self.out), |line| line.starts_with(start))
    }

    /// Waits for a line on stderr that contains `part`.
    pub(crate) fn stderr_line(&mut self, part: &str) -> String {
        self.line(&Arc::clone(&self.err), |line| line.contains(part))
    }

    /// Waits until `count` lines on stderr contain `part`.
    pub(crate) fn stderr_lines(&mut self, part: &str, count: usize) {
        let begin = Instant::now();
        while self.err.lock().unwrap().iter().filter(|line| line.contains(part)).count() < count {
            assert!(self.is_running() && begin.elapsed() < LIMIT, "the lines did not come; {}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the proxy's first listener. Returns its address.
    pub(crate) fn ready(&mut self) -> SocketAddr {
        let line = self.stdout_line("socks ");
        line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn line(&mut self, lines: &Lines, wanted: impl Fn(&str) -> bool) -> String {
        let begin = Instant::now();
        loop {
            // Checked before the lines, so that output before the end is still found.
            let ended = self.child.try_wait().unwrap().is_some();
            if let Some(line) = lines.lock().unwrap().iter().find(|line| wanted(line)) {
                return line.clone();
            }
            assert!(!ended && begin.elapsed() < LIMIT, "the line did not come; {}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn stdout(&self) -> Vec<String> {
        self.out.lock().unwrap().clone()
    }

    pub(crate) fn said(&self) -> String {
        format!("stdout: {:#?}\nstderr: {:#?}", self.out.lock().unwrap(), self.err.lock().unwrap())
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a signal, given by its name for kill(1).
    pub(crate) fn send(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Sends a signal, given by its name for kill(1). Returns the exit code.
    pub(crate) fn signal(&mut self, name: &str) -> Option<i32> {
        self.send(name);
        self.ended(name)
    }

    /// Waits for the end after a signal. Returns the exit code.
    pub(crate) fn ended(&mut self, name: &str) -> Option<i32> {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("still running 10 s after SIG{name}; {}", self.said());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a SOCKS5 CONNECT by name, with blocking I/O. Returns the reply code and the stream.
pub(crate) fn connect(proxy: SocketAddr, host: &str) -> (u8, TcpStream) {
    let mut stream = TcpStream::connect(proxy).unwrap();
    let length = u8::try_from(host.len()).unwrap();
    stream.write_all(&[&[5, 1, 0, 5, 1, 0, 3, length], host.as_bytes(), &[0, 80]].concat()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    (answer[3], stream)
}

/// Sends a byte and waits for its echo.
pub(crate) fn echo(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(b"x").unwrap();
    let mut back = [0];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"x");
}

fn collect(pipe: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let collected = Arc::clone(&lines);
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            collected.lock().unwrap().push(line);
        }
    });
    lines
}
