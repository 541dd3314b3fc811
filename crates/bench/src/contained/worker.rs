//! The client, started in one of the ways, and spoken to.

use std::{
    env,
    fs::File,
    io::{BufRead, BufReader, Write},
    process::{ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

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
/// The processes that count: not the program itself.
const OUR_NAME: &str = "i2p-socks";

/// A running client. Dropping it ends it.
pub(super) struct Worker {
    /// Those of `exec`, without the program. None for a client of the SOCKS port.
    pub(super) processes: Processes,
    stdin: ChildStdin,
    answers: Receiver<std::io::Result<String>>,
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
            _ => {
                let mut command = way.exec_program(setup, &program)?;
                command.args([CLIENT, CONTAINED, &port]);
                command
            }
        };
        let log = File::create(setup.lab.join("contained.log"))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut processes = Processes::start(&mut command)?.counting_only(OUR_NAME);
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
        Ok(Self { processes, stdin, answers })
    }

    /// Gives an order and returns the answer.
    pub(super) fn ask(&mut self, order: Order) -> Result<String> {
        let line = order.line();
        let asked = writeln!(self.stdin, "{line}").context("it has ended");
        let answer = asked.and_then(|()| Ok(self.answers.recv_timeout(ANSWER_TIMEOUT)??));
        let answer =
            answer.with_context(|| format!("the client did not answer {line:?}; see contained.log"))?;
        ensure!(!answer.is_empty(), "an empty answer to {line:?}");
        Ok(answer)
    }
}
