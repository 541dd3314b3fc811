//! The client, started in one of the ways, and spoken to.

use std::{
    env,
    fs::File,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::{
    client::{CLIENT, CONTAINED, Order},
    way::Way,
};
use crate::{
    client::Access,
    processes::Processes,
    running::{Running, Setup},
};

/// How long an answer may take. A thousand connections take some seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// The program itself, whose processes do not count.
const PROGRAM_NAME: &str = "bench";

/// A running client. Dropping it ends it.
pub(super) struct Worker {
    /// Those of `exec`, without the program. None for a client of the SOCKS port.
    pub(super) processes: Processes,
    stdin: ChildStdin,
    answers: Receiver<std::io::Result<String>>,
    log_path: PathBuf,
}

impl Worker {
    /// Starts it. Its messages are in a file of the lab.
    pub(super) fn start(setup: &Setup, proxy: &Running, way: Way) -> Result<Self> {
        let program = env::current_exe().context("this program does not know where it lies")?;
        let port = setup.service.work.port().to_string();
        let mut command = match (way, proxy.client.access) {
            (Way::Socks, Access::SocksName(address)) => {
                let mut command = Command::new(&program);
                command.args([CLIENT, &address.to_string(), &port]);
                command
            }
            (Way::Socks, _) => bail!("the proxy has no SOCKS port"),
            (Way::Proxy | Way::Own, _) => {
                let mut command = way.exec_program(setup, &program)?;
                command.args([CLIENT, CONTAINED, &port]);
                command
            }
        };
        let log_path = setup.lab.join(format!("{}.log", way.title()));
        let log = File::create(&log_path)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut processes = Processes::start(&mut command)?.ignoring(PROGRAM_NAME);
        let root = processes.root();
        let stdin = root.stdin.take().context("no stdin")?;
        let stdout = root.stdout.take().context("no stdout")?;
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                // Nobody receives more after the end.
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { processes, stdin, answers, log_path })
    }

    /// Gives an order and returns the answer.
    pub(super) fn ask(&mut self, order: Order) -> Result<String> {
        let line = order.line();
        let failed = |why: &str| format!("the client {why} {line:?}; see {}", self.log_path.display());
        writeln!(self.stdin, "{line}").with_context(|| failed("has ended before"))?;
        let answer = self.answers.recv_timeout(ANSWER_TIMEOUT).map_err(|error| {
            anyhow!(failed(match error {
                RecvTimeoutError::Timeout => "has no answer to",
                RecvTimeoutError::Disconnected => "has ended at",
            }))
        })?;
        let answer = answer.with_context(|| failed("broke off at"))?;
        ensure!(!answer.is_empty(), "an empty answer to {line:?}");
        Ok(answer)
    }
}
