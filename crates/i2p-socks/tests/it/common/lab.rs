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

/// How long a command may run: generous, since it is only waited for when something is broken.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A tunnel for streams.
pub(crate) const TCP: &str = "[[tunnel]]\nlisten = ['127.0.0.1:0']\n";
/// One that has everything: streams, datagrams, and streams of peers.
pub(crate) const ALL: &str = "[[tunnel]]\nlisten = ['127.0.0.1:0']\nudp = 'datagram'\nincoming = true\n";

/// A router, a directory for state and configuration, and what runs with them.
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

    /// The words of a command on this router, with this state.
    pub(crate) fn command(&self, words: &[&str], config: &str) -> Command {
        let file = self.dir.path().join("config.toml");
        let text = format!("[router]\nsam-udp = '{}'\n{config}", self.bridge.udp_address());
        fs::write(&file, text).unwrap();
        let mut command = super::i2p_socks(words);
        command.args(["--router", "sam", "--sam", &self.bridge.address()]);
        command.arg("--state-dir").arg(self.state()).arg("--config").arg(file);
        command
    }

    /// A proxy that runs and is ready.
    pub(crate) fn proxy(&self, config: &str) -> Running {
        let mut command = self.command(&["run"], config);
        command.stdin(Stdio::null());
        let mut proxy = Running::of(command);
        proxy.stdout_line("socks ");
        proxy
    }

    /// Runs a command with this on stdin, which then ends.
    pub(crate) fn run(&self, words: &[&str], config: &str, input: &[u8]) -> (Option<i32>, Vec<u8>, String) {
        let mut child = started(self.command(words, config));
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writing = thread::spawn(move || stdin.write_all(&input));
        let Output { status, stdout, stderr } = child.ended();
        // What ends early does not read it all.
        let _ = writing.join().unwrap();
        (status.code(), stdout, String::from_utf8(stderr).unwrap())
    }
}

pub(crate) fn started(command: Command) -> Started {
    started_with(command, Stdio::piped())
}

/// With another stdin than a pipe.
pub(crate) fn started_with(mut command: Command, stdin: impl Into<Stdio>) -> Started {
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let id = child.id().to_string();
    let (running, ended) = mpsc::channel();
    thread::spawn(move || {
        if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            // Whoever waits for it, or for what it writes, then sees that it has ended.
            Command::new("kill").args(["-KILL", &id]).status().unwrap();
        }
    });
    Started { child: Some(child), _running: running }
}

/// A command that runs. Killed when dropped, and after [`LIMIT`].
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
