//! Keeps i2pd running: starts the next one after a death, and tells how things are.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender},
    time::{Duration, Instant},
};

use i2p_sam::ChangingAddress;
use restart_schedule::{Pause, RestartSchedule, SUSPICIOUS_DEATHS};
use tokio::sync::{oneshot, watch};

use super::{
    child::{BridgeState, Process},
    configuration::{asks_reseed_servers, too_few_routers},
    log::I2pdLog,
    ports::{self, Listener},
    settings::Settings,
    status::{I2pdCondition, I2pdStatus},
};
use crate::command_error::CommandError;

/// How long i2pd may take until its SAM bridge answers. Usually a second is enough.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The same while it knows too few routers. i2pd opens its SAM bridge after it has asked reseed servers, up to ten of them, and it waits two
/// minutes for one that does not answer.
const RESEED_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// How often the SAM bridge of a starting i2pd is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How often the SAM bridge of a running i2pd is asked whether it answers.
const ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// An i2pd whose SAM bridge does not answer for so long hangs.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// How long an i2pd may know too few routers after its SAM bridge answers. It asks reseed servers before, and stores the routers that it
/// has got from them within two minutes.
const FIRST_ROUTERS_TIME: Duration = Duration::from_secs(180);

/// How often in a row another program may take the chosen port before that counts as a death.
const MAX_TAKEN_PORTS: u32 = 5;

/// What the supervisor waits for.
pub(super) enum Event {
    /// The proxy has no use for i2pd any more.
    Stop,
    /// The i2pd with this number has ended.
    Ended(u32),
}

/// Why an i2pd is gone.
enum Ending {
    /// The proxy wanted it.
    Stopped,
    /// It could not be started.
    NotStarted(String),
    /// Another program has taken its port.
    PortTaken,
    /// Its SAM bridge did not answer within this time.
    NoBridge(Duration),
    /// The system does not tell whether the bridge at its port is its own.
    UnknownBridge(io::Error),
    /// It died.
    Death(String),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("it was told to end"),
            Self::NotStarted(error) => write!(f, "it could not be started: {error}"),
            Self::PortTaken => {
                f.write_str("other programs take the ports that are chosen for its SAM bridge")
            }
            Self::NoBridge(time) => write!(f, "its SAM bridge did not answer within {} s", time.as_secs()),
            Self::UnknownBridge(error) => {
                write!(f, "/proc does not tell whose program listens on the port of its SAM bridge ({error})")
            }
            Self::Death(cause) => f.write_str(cause),
        }
    }
}

/// Keeps i2pd running until [`Event::Stop`]. Blocks. `first` learns whether the first start has succeeded: if not, this returns.
pub(super) fn supervise(
    settings: &Settings,
    log: &I2pdLog,
    address: &ChangingAddress,
    status: &watch::Sender<I2pdStatus>,
    (for_child, events): (&Sender<Event>, &Receiver<Event>),
    first: oneshot::Sender<Result<(), CommandError>>,
) {
    let mut supervisor = Supervisor {
        settings,
        log,
        address,
        status,
        for_child,
        events,
        first: Some(first),
        schedule: RestartSchedule::new(None),
        number: 0,
        port: None,
        taken_ports: 0,
    };
    while supervisor.live() {}
}

struct Supervisor<'a> {
    settings: &'a Settings,
    log: &'a I2pdLog,
    address: &'a ChangingAddress,
    status: &'a watch::Sender<I2pdStatus>,
    for_child: &'a Sender<Event>,
    events: &'a Receiver<Event>,
    first: Option<oneshot::Sender<Result<(), CommandError>>>,
    schedule: RestartSchedule,
    /// The number of the i2pd that lives now.
    number: u32,
    /// The port of its SAM bridge. It stays the same if it can.
    port: Option<u16>,
    /// How often in a row another program has taken the port.
    taken_ports: u32,
}

impl Supervisor<'_> {
    /// Runs one i2pd to its end, and waits until the next one is due. Returns whether there is to be a next one.
    fn live(&mut self) -> bool {
        let begin = Instant::now();
        let ending = or_death_by_panic(|| self.watch());
        // Also after a panic.
        self.address.clear();
        match ending {
            Ending::Stopped => return false,
            Ending::PortTaken if self.taken_ports < MAX_TAKEN_PORTS => {
                self.taken_ports += 1;
                self.port = None;
                return true;
            }
            _ => {}
        }
        let pause = self.schedule.died_after(begin.elapsed());
        let is_final = !matches!(ending, Ending::Death(_)) || pause.deaths >= SUSPICIOUS_DEATHS;
        if let Some(first) = self.first.take_if(|_| is_final) {
            // The caller may have gone.
            let _ = first.send(Err(self.not_started(&ending)));
            return false;
        }
        log_death(&ending, pause);
        let until = Instant::now() + pause.length;
        self.status.send_modify(|status| {
            status.condition = I2pdCondition::Down { until };
            status.deaths += 1;
        });
        !self.is_stopped_until(until)
    }

    /// Starts an i2pd and follows it to its end.
    fn watch(&mut self) -> Ending {
        self.status.send_modify(|status| {
            status.condition = I2pdCondition::Starting;
            status.too_few_routers = None;
        });
        self.log.begin_start();
        let limit = if asks_reseed_servers(self.settings) { RESEED_TIMEOUT } else { START_TIMEOUT };
        let mut process = match self.start() {
            Ok(process) => process,
            Err(error) => return Ending::NotStarted(error.to_string()),
        };
        let ending = self.follow(&mut process, limit);
        // Before the process is told to end: another program can take its port then.
        self.address.clear();
        ending
    }

    /// Waits until the SAM bridge of a process answers, and then for the end.
    fn follow(&mut self, process: &mut Process, limit: Duration) -> Ending {
        let listener = match self.wait_for_bridge(process, limit) {
            Ok(listener) => listener,
            Err(ending) => return ending,
        };
        self.log.end_start();
        self.taken_ports = 0;
        self.address.set(process.address(), move || listener.still_listens());
        self.status.send_modify(|status| status.condition = I2pdCondition::Running);
        if let Some(first) = self.first.take() {
            let _ = first.send(Ok(()));
        }
        self.wait_for_end(process)
    }

    fn wait_for_end(&self, process: &mut Process) -> Ending {
        let begin = Instant::now();
        let mut answered = begin;
        loop {
            if begin.elapsed() >= FIRST_ROUTERS_TIME {
                self.show_routers(too_few_routers(self.settings));
            }
            match self.events.recv_timeout(ALIVE_INTERVAL) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return Ending::Stopped,
                Ok(Event::Ended(number)) if number == self.number => {
                    return Ending::Death(process.describe_end());
                }
                Ok(Event::Ended(_)) => {}
                Err(RecvTimeoutError::Timeout) => match process.bridge() {
                    BridgeState::Answers(_) => answered = Instant::now(),
                    _ if answered.elapsed() < SILENCE_LIMIT => {}
                    _ => {
                        let seconds = SILENCE_LIMIT.as_secs();
                        return Ending::Death(format!("its SAM bridge has not answered for {seconds} s"));
                    }
                },
            }
        }
    }

    /// Shows and logs whether it knows too few routers, and how many it knows then.
    fn show_routers(&self, too_few: Option<usize>) {
        let before = self.status.borrow().too_few_routers;
        match (before, too_few) {
            (None, Some(known)) => tracing::warn!(
                "i2pd knows too few other routers to build I2P tunnels ({known}). It asks reseed servers on the internet when \
                 it starts: check that this machine reaches them, or set reseed-file under [router], then restart i2p-socks"
            ),
            (Some(_), None) => tracing::info!("i2pd knows enough other routers now"),
            _ => {}
        }
        if before != too_few {
            self.status.send_modify(|status| status.too_few_routers = too_few);
        }
    }

    fn wait_for_bridge(&self, process: &mut Process, limit: Duration) -> Result<Listener, Ending> {
        let begin = Instant::now();
        loop {
            match self.events.recv_timeout(LOOK_INTERVAL) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return Err(Ending::Stopped),
                Ok(Event::Ended(number)) if number == self.number => {
                    return Err(Ending::Death(process.describe_end()));
                }
                // One that was ended before.
                Ok(Event::Ended(_)) => {}
                Err(RecvTimeoutError::Timeout) => match process.bridge() {
                    BridgeState::Answers(listener) => return Ok(listener),
                    BridgeState::PortTaken => return Err(Ending::PortTaken),
                    BridgeState::NotYet | BridgeState::Unknown(_) if begin.elapsed() < limit => {}
                    BridgeState::NotYet => return Err(Ending::NoBridge(limit)),
                    BridgeState::Unknown(error) => return Err(Ending::UnknownBridge(error)),
                },
            }
        }
    }

    fn start(&mut self) -> io::Result<Process> {
        let port = ports::choose(self.port)?;
        self.port = Some(port);
        self.number = self.number.wrapping_add(1);
        let (number, events) = (self.number, self.for_child.clone());
        Process::start(self.settings, port, self.log, move || {
            // The supervisor may have ended first.
            let _ = events.send(Event::Ended(number));
        })
    }

    /// Waits until this time. Returns whether the proxy has no use for i2pd any more.
    fn is_stopped_until(&self, until: Instant) -> bool {
        loop {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Ok(Event::Ended(_)) => {}
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    /// The error of a first start that failed.
    fn not_started(&self, ending: &Ending) -> CommandError {
        let again = if matches!(ending, Ending::Death(_)) {
            format!(" {SUSPICIOUS_DEATHS} times in a row, the last time because")
        } else {
            ":".to_owned()
        };
        let reseed = match ending {
            Ending::NoBridge(_) if asks_reseed_servers(self.settings) => {
                " It has to ask reseed servers on the internet first: check that this machine reaches them, or set reseed-file."
            }
            _ => "",
        };
        CommandError::run_time(format_args!(
            "i2pd ({}) did not start{again} {ending}.{} Without a router, nothing in I2P can be reached.{reseed} With -v, the log shows \
             what i2pd writes while it starts.{}",
            self.settings.program.display(),
            self.log.last_words(),
            app_armor_hint()
        ))
    }
}

/// Watches an i2pd. A panic counts as its death: unwinding has ended it.
fn or_death_by_panic(watch: impl FnOnce() -> Ending) -> Ending {
    catch_unwind(AssertUnwindSafe(watch)).unwrap_or_else(|_| {
        Ending::Death("a bug of i2p-socks, in the thread that watches it, has ended it".to_owned())
    })
}

/// Says that i2pd has died, what that may mean, and what follows.
fn log_death(ending: &Ending, Pause { length, deaths, .. }: Pause) {
    let seconds = length.as_secs_f64().ceil();
    if deaths < SUSPICIOUS_DEATHS {
        tracing::warn!(
            "i2pd has died: {ending}. All I2P sessions have ended with it. It is started again in {seconds} s"
        );
    } else {
        tracing::error!(
            "i2pd has died: {ending}. That is {deaths} times within ten minutes of running: a site, another router, or another user \
             of this machine may be ending it on purpose. A newer i2pd may not have this weakness. It stays down for longer each \
             time, now for {seconds} s"
        );
    }
}

/// Debian's AppArmor profile lets i2pd use its usual directories and no others.
fn app_armor_hint() -> &'static str {
    let enabled =
        std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"));
    if enabled && Path::new("/etc/apparmor.d/usr.sbin.i2pd").exists() {
        " AppArmor may forbid i2pd to use the state directory: docs/service.md of i2p-socks says how to allow it."
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_thread_that_watches_i2pd_counts_as_its_death() {
        assert!(matches!(or_death_by_panic(|| Ending::Stopped), Ending::Stopped));
        let no_events: [Event; 0] = [];
        let ending = or_death_by_panic(|| no_events.first().map(|_| Ending::Stopped).unwrap());
        assert!(matches!(&ending, Ending::Death(cause) if cause.contains("a bug of i2p-socks")), "{ending}");
    }
}
