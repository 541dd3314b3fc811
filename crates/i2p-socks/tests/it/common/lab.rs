//! Commands on a bridge of the test kit, with a directory for state and configuration.

use std::{
    fs,
    io::Write,
    ops::{Deref, DerefMut},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use sam_testkit::{Dialect, Endpoint, TestBridge};

use super::Running;

/// The longest time for a command. It is generous, since only a failure uses it up.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A tunnel for streams.
pub(crate) const TCP: &str = "[[tunnel]]\nlisten = ['127.0.0.1:0']\n";
/// A tunnel with everything: streams, datagrams, and streams from peers.
pub(crate) const ALL: &str = "[[tunnel]]\nlisten = ['127.0.0.1:0']\nudp = 'datagram'\nincoming = true\n";

/// A router, a directory for state and configuration, and the proxies and commands that use them.
pub(crate) struct Lab {
    pub(crate) bridge: TestBridge,
    dir: tempfile::TempDir,
}

impl Lab {
    pub(crate) async fn new(dialect: Dialect) -> Self {
        let bridge = TestBridge::start_as(dialect).await;
        bridge.host("echo.i2p", Endpoint::Echo);
        bridge.host("answer.i2p", Endpoint::AnswerAfterFin(b"the answer".to_vec()));
        bridge.host("source.i2p", Endpoint::Source(b"all there is".to_vec()));
        bridge.host("whoami.i2p", Endpoint::Whoami);
        Self { bridge, dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn state(&self) -> &Path {
        self.dir.path()
    }

    /// A command with this router and state directory.
    pub(crate) fn command(&self, words: &[&str], config: &str) -> Command {
        let file = self.dir.path().join("config.toml");
        let text = format!("[router]\nsam-udp = '{}'\n{config}", self.bridge.udp_address());
        fs::write(&file, text).unwrap();
        let mut command = super::i2p_socks(words);
        command.args(["--router", "sam", "--sam", &self.bridge.address()]);
        command.arg("--state-dir").arg(self.state()).arg("--config").arg(file);
        command
    }

    /// Starts a proxy, and waits until it is ready.
    pub(crate) fn proxy(&self, config: &str) -> Running {
        let mut command = self.command(&["run"], config);
        command.stdin(Stdio::null());
        let mut proxy = Running::of(command);
        proxy.stdout_line("socks ");
        proxy
    }

    /// Runs a command with this on stdin, followed by end of file.
    pub(crate) fn run(&self, words: &[&str], config: &str, input: &[u8]) -> (Option<i32>, Vec<u8>, String) {
        let mut child = started(self.command(words, config));
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writing = thread::spawn(move || stdin.write_all(&input));
        let Output { status, stdout, stderr } = child.ended();
        // A command that ends early does not read all of it.
        let _ = writing.join().unwrap();
        (status.code(), stdout, String::from_utf8(stderr).unwrap())
    }
}

pub(crate) fn started(command: Command) -> Started {
    started_with(command, Stdio::piped())
}

/// Starts a command whose stdin is not a pipe.
pub(crate) fn started_with(mut command: Command, stdin: impl Into<Stdio>) -> Started {
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let id = child.id().to_string();
    let (running, ended) = mpsc::channel();
    thread::spawn(move || {
        if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            // Readers of its pipes and waiters then see that it has ended.
            Command::new("kill").args(["-KILL", &id]).status().unwrap();
        }
    });
    Started { child: Some(child), _running: running }
}

/// A running command. Killed when dropped, and after [`LIMIT`].
pub(crate) struct Started {
    child: Option<Child>,
    _running: mpsc::Sender<()>,
}

impl Started {
    pub(crate) fn ended(mut self) -> Output {
        self.child.take().unwrap().wait_with_output().unwrap()
    }
}

impl Deref for Started {
    type Target = Child;

    fn deref(&self) -> &Child {
        self.child.as_ref().unwrap()
    }
}

impl DerefMut for Started {
    fn deref_mut(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
