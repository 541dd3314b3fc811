//! The binary as a user starts it.

#[cfg(unix)]
pub(crate) mod admin;
pub(crate) mod fake_i2pd;
#[cfg(unix)]
pub(crate) mod lab;
pub(crate) mod network;
pub(crate) mod peers;
pub(crate) mod place;
pub(crate) mod processes;
#[cfg(unix)]
pub(crate) mod reloadable;
pub(crate) mod site;
#[cfg(unix)]
pub(crate) mod stand_in;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, Condvar, LazyLock, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

/// The longest time for any step. It is generous, since only a failure uses it up.
pub(crate) const LIMIT: Duration = Duration::from_secs(150);

/// The longest time that the pipes of an ended process stay open. Its children may hold them.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

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

/// Runs the binary to its end. Returns the exit code, stdout and stderr. A binary that does not end is killed after [`LIMIT`], and then
/// has no exit code.
pub(crate) fn output(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = i2p_socks(args);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let (ended, end) = mpsc::channel::<()>();
    thread::spawn(move || {
        if end.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            processes::kill("KILL", id);
        }
    });
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    drop(ended);
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
    out: Arc<Lines>,
    err: Arc<Lines>,
}

/// The lines read from a pipe so far.
#[derive(Default)]
struct Lines {
    read: Mutex<ReadLines>,
    changed: Condvar,
}

#[derive(Default)]
struct ReadLines {
    lines: Vec<String>,
    /// Whether nobody writes to the pipe any more.
    is_closed: bool,
}

impl Lines {
    /// Reads a pipe to its end, in a thread.
    fn collect(pipe: impl Read + Send + 'static) -> Arc<Self> {
        let lines = Arc::<Self>::default();
        let collected = Arc::clone(&lines);
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                collected.change(|read| read.lines.push(line));
            }
            collected.change(|read| read.is_closed = true);
        });
        lines
    }

    fn change(&self, change: impl FnOnce(&mut ReadLines)) {
        change(&mut self.read.lock().unwrap());
        self.changed.notify_all();
    }

    /// Waits until `found` finds something. Returns `None` if the pipe is closed before, or after this time.
    fn wait<T>(&self, limit: Duration, mut found: impl FnMut(&[String]) -> Option<T>) -> Option<T> {
        let mut result = None;
        let read = self.read.lock().unwrap();
        let missing = |read: &mut ReadLines| {
            result = found(&read.lines);
            result.is_none() && !read.is_closed
        };
        drop(self.changed.wait_timeout_while(read, limit, missing).unwrap());
        result
    }

    fn text(&self) -> Vec<String> {
        self.read.lock().unwrap().lines.clone()
    }
}

impl Running {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut command = i2p_socks(args);
        command.stdin(Stdio::null());
        Self::of(command)
    }

    /// Starts a command that runs the binary, for callers that need more than arguments, such as an environment.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = Lines::collect(child.stdout.take().unwrap());
        let err = Lines::collect(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on stdout that begins with `start`.
    pub(crate) fn stdout_line(&mut self, start: &str) -> String {
        self.line(&self.out, |line| line.starts_with(start))
    }

    /// Waits for a line on stderr that contains `part`.
    pub(crate) fn stderr_line(&mut self, part: &str) -> String {
        self.line(&self.err, |line| line.contains(part))
    }

    /// Waits until `count` lines on stderr contain `part`.
    pub(crate) fn stderr_lines(&mut self, part: &str, count: usize) {
        let found = self.err.wait(LIMIT, |lines| {
            (lines.iter().filter(|line| line.contains(part)).count() >= count).then_some(())
        });
        assert!(found.is_some(), "the lines did not come; {}", self.said());
    }

    /// Waits for this many listeners. Returns their addresses in the order of their IP addresses, and those of one IP address as they were
    /// printed: tunnels with sessions of their own are ready in any order.
    pub(crate) fn listeners(&mut self, count: usize) -> Vec<SocketAddr> {
        let found = self.out.wait(LIMIT, |lines| (lines.len() >= count).then(|| lines.to_vec()));
        let lines = found.unwrap_or_else(|| panic!("the listeners did not come; {}", self.said()));
        let mut addresses: Vec<_> = lines.iter().map(|line| address_in(line)).collect();
        addresses.sort_by_key(SocketAddr::ip);
        addresses
    }

    /// Waits for the proxy's first listener. Returns its address.
    pub(crate) fn ready(&mut self) -> SocketAddr {
        address_in(&self.stdout_line("socks "))
    }

    fn line(&self, lines: &Lines, wanted: impl Fn(&str) -> bool) -> String {
        let found = lines.wait(LIMIT, |lines| lines.iter().find(|line| wanted(line)).cloned());
        found.unwrap_or_else(|| panic!("the line did not come; {}", self.said()))
    }

    pub(crate) fn stdout(&self) -> Vec<String> {
        self.out.text()
    }

    /// The lines on stderr so far.
    pub(crate) fn stderr_so_far(&self) -> Vec<String> {
        self.err.text()
    }

    pub(crate) fn said(&self) -> String {
        format!("stdout: {:#?}\nstderr: {:#?}", self.out.text(), self.err.text())
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
        self.status_after(name).code()
    }

    /// Sends a signal, by the name that kill(1) knows, and gives the status.
    pub(crate) fn ended_by(&mut self, name: &str) -> ExitStatus {
        self.send(name);
        self.status_after(name)
    }

    fn status_after(&mut self, name: &str) -> ExitStatus {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it wrote last may still be in the pipes.
                for lines in [&self.out, &self.err] {
                    let _: Option<()> = lines.wait(CLOSE_LIMIT, |_| None);
                }
                return status;
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

/// The address in a line such as `socks 127.0.0.1:4450 ready`.
fn address_in(line: &str) -> SocketAddr {
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

/// A pipe is read to its end, even if that comes after the end of the process.
#[cfg(unix)]
#[test]
fn a_line_is_found_that_comes_after_the_process_has_ended() {
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "exec 3<&0; cat <&3 >&2 &"]).stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)));
    let mut running = Running::of(command);
    assert!(running.child.wait().unwrap().success());
    let writing = thread::spawn(move || ours.write_all(b"the last line\n").unwrap());
    assert_eq!(running.stderr_line("last"), "the last line");
    writing.join().unwrap();
}
