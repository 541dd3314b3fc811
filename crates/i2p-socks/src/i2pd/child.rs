//! One i2pd process, from its start to its end.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, ExitStatus, Stdio},
    thread::{self, sleep},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    configuration, launcher,
    log::I2pdLog,
    ports::{Listener, Owner, owner},
    settings::Settings,
};

/// How long i2pd may take to end after SIGTERM, before it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// How long its end may take to show after it has closed its output.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// How long one attempt to speak with its SAM bridge may take.
const HELLO_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest answer to HELLO that is read.
const MAX_HELLO_BYTES: u64 = 512;

/// A running i2pd. Dropping it ends the process.
pub(super) struct Process {
    child: Child,
    port: u16,
}

/// Whether the SAM bridge of an i2pd can be used.
#[derive(Debug)]
pub(super) enum BridgeState {
    NotYet,
    /// It answers on this socket.
    Answers(Listener),
    /// Another program has taken its port.
    PortTaken,
    /// The system does not tell whose bridge listens on its port.
    Unknown(io::Error),
}

impl Process {
    /// Starts i2pd with its SAM bridge on `port` of 127.0.0.1. `on_end` is called once it has ended.
    ///
    /// It must be called on a thread that lives as long as the process may: the kernel ends the process together with this thread.
    pub(super) fn start(
        settings: &Settings,
        port: u16,
        log: &I2pdLog,
        on_end: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let arguments = configuration::write(settings, port)?;
        let (output, input) = io::pipe()?;
        let child = launcher::command(&settings.program, arguments)
            .env_clear()
            .current_dir("/")
            // Ctrl-C in a terminal is for the proxy, which stops in its own time.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(input.try_clone()?)
            .stderr(input)
            .spawn()?;
        // From here on, the process ends when this function fails.
        let process = Self { child, port };
        let log = log.clone();
        thread::Builder::new().name("i2pd-log".to_owned()).spawn(move || {
            log.pass_on(output);
            on_end();
        })?;
        Ok(process)
    }

    /// Where its SAM bridge listens.
    pub(super) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Whether its SAM bridge can be used. Blocks for up to [`HELLO_TIMEOUT`].
    pub(super) fn bridge(&self) -> BridgeState {
        match owner(self.port, self.child.id()) {
            Owner::Nobody => BridgeState::NotYet,
            Owner::Other => BridgeState::PortTaken,
            Owner::Unknown(error) => BridgeState::Unknown(error),
            Owner::Process(listener) if says_hello(self.address()).unwrap_or(false) => {
                BridgeState::Answers(listener)
            }
            Owner::Process(_) => BridgeState::NotYet,
        }
    }

    /// How it has ended, after it has closed its output.
    pub(super) fn describe_end(&mut self) -> String {
        match self.wait(STATUS_TIMEOUT) {
            Some(status) => describe(status),
            None => "it closed its output".to_owned(),
        }
    }

    /// Waits for its end, for at most this long.
    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let begin = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            if begin.elapsed() >= limit {
                return None;
            }
            sleep(Duration::from_millis(5));
        }
    }
}

/// Ends the process, and waits until it is gone: the next one needs its directory.
impl Drop for Process {
    fn drop(&mut self) {
        if self.wait(Duration::ZERO).is_some() {
            return;
        }
        // SIGTERM and not SIGINT, after which i2pd goes on for ten minutes, for the tunnels of others.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        if self.wait(END_TIMEOUT).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Whether a SAM bridge answers here.
fn says_hello(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, HELLO_TIMEOUT)?;
    stream.set_read_timeout(Some(HELLO_TIMEOUT))?;
    stream.set_write_timeout(Some(HELLO_TIMEOUT))?;
    stream.write_all(b"HELLO VERSION\n")?;
    let mut answer = String::new();
    BufReader::new(stream.take(MAX_HELLO_BYTES)).read_line(&mut answer)?;
    Ok(answer.starts_with("HELLO REPLY RESULT=OK"))
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal} ended it"),
        (None, Some(code)) => format!("it ended with code {code}"),
        (None, None) => "it ended".to_owned(),
    }
}
