//! Keeps a router process running: starts the next one after a death, and tells how things are.

use std::{
    os::unix::net::UnixStream,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use restart_schedule::{Pause, RestartSchedule, SUSPICIOUS_DEATHS};
use tokio::sync::{oneshot, watch};

use super::{
    life::{Birth, Ending, Life, News},
    protocol::printable,
};
use crate::{Error, reseed::ServerFiles};

/// The pause after a router process could not start, for example because the state directory is full. Doubled each time.
const FIRST_PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
const MAX_PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5 * 60);

/// How a router process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessStatus {
    /// Whether it runs.
    pub condition: ProcessCondition,
    /// How often it has died since [`RouterProcess`](crate::RouterProcess) exists.
    pub deaths: u64,
    /// The process ID of the one that lives now.
    pub process_id: Option<u32>,
}

/// Whether a router process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessCondition {
    /// It starts.
    Starting,
    /// Its SAM bridge takes connections.
    Running,
    /// It has died, and the next one starts at this time.
    Down {
        /// When the next one starts.
        until: Instant,
    },
}

/// What the supervisor's thread shares with the rest of the program.
#[derive(Debug)]
pub(super) struct Shared {
    status: watch::Sender<ProcessStatus>,
    /// The socket that takes connections to the SAM bridge, while there is one.
    streams: Mutex<Option<Arc<UnixStream>>>,
    stop: Mutex<Stop>,
    stopped: Condvar,
}

#[derive(Debug, Default)]
struct Stop {
    requested: bool,
    /// Ends the process that lives now, when it is shut down.
    control: Option<UnixStream>,
}

impl Shared {
    pub(super) fn new() -> Arc<Self> {
        let status = ProcessStatus { condition: ProcessCondition::Starting, deaths: 0, process_id: None };
        Arc::new(Self {
            status: watch::channel(status).0,
            streams: Mutex::default(),
            stop: Mutex::default(),
            stopped: Condvar::new(),
        })
    }

    pub(super) fn status(&self) -> watch::Receiver<ProcessStatus> {
        self.status.subscribe()
    }

    pub(super) fn streams(&self) -> Option<Arc<UnixStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_streams(&self, streams: Option<Arc<UnixStream>>) {
        *self.streams.lock().unwrap_or_else(PoisonError::into_inner) = streams;
    }

    fn stop_state(&self) -> MutexGuard<'_, Stop> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the router process, and starts no other.
    pub(super) fn stop(&self) {
        self.set_streams(None);
        let mut stop = self.stop_state();
        stop.requested = true;
        if let Some(control) = stop.control.take() {
            // If it has ended by itself, there is nothing to do.
            let _ = control.shutdown(std::net::Shutdown::Both);
        }
        self.stopped.notify_all();
    }

    /// Makes [`Shared::stop`] end this process. Returns whether it has been called already.
    fn set_control(&self, control: Option<UnixStream>) -> bool {
        let mut stop = self.stop_state();
        stop.control = control;
        stop.requested
    }

    /// Waits for this long. Returns whether the supervisor has been told to stop.
    fn pause(&self, length: Duration) -> bool {
        let waiting = self.stopped.wait_timeout_while(self.stop_state(), length, |stop| !stop.requested);
        waiting.map_or(true, |(stop, _)| stop.requested)
    }
}

/// Keeps a router process running until it is told to stop. Blocks. `first` learns whether the first one has started: if not, for a
/// reason that another attempt does not change, this returns.
pub(super) fn supervise(birth: &Birth, shared: &Shared, first: oneshot::Sender<Result<(), Error>>) {
    let mut supervisor = Supervisor {
        birth,
        shared,
        first: Some(first),
        files: ServerFiles::default(),
        schedule: RestartSchedule::new(birth.pause),
        failures: 0,
        walls_told: false,
    };
    while supervisor.live() {}
    shared.set_streams(None);
}

struct Supervisor<'a> {
    birth: &'a Birth,
    shared: &'a Shared,
    first: Option<oneshot::Sender<Result<(), Error>>>,
    files: ServerFiles,
    schedule: RestartSchedule,
    /// How often in a row it could not start.
    failures: u32,
    walls_told: bool,
}

impl Supervisor<'_> {
    /// Runs one router process to its end, and waits until the next one is due. Returns whether there is to be a next one.
    fn live(&mut self) -> bool {
        let begin = Instant::now();
        let life = || match Life::begin(self.birth) {
            Ok(life) => self.watch(life),
            Err(error) => Ending::NotStarted(Error::System(error)),
        };
        // Unwinding has ended the process that this watched.
        let ending = catch_unwind(AssertUnwindSafe(life)).unwrap_or_else(|_| {
            Ending::Death("a bug of the program, in the thread that watches it, has ended it".to_owned())
        });
        self.shared.set_streams(None);
        if self.shared.set_control(None) {
            return false;
        }
        let (length, deaths) = match ending {
            Ending::NotStarted(error) => match self.first.take() {
                Some(first) => {
                    // The caller may have gone.
                    let _ = first.send(Err(error));
                    return false;
                }
                None => (self.could_not_start(&error), 0),
            },
            Ending::Death(cause) => {
                let pause = self.schedule.died_after(begin.elapsed());
                if let Some(first) = self.first.take_if(|_| pause.deaths >= SUSPICIOUS_DEATHS) {
                    let problem = format!(
                        "its process died {} times while it started; the last time, {cause}",
                        pause.deaths
                    );
                    let _ = first.send(Err(Error::Router { problem }));
                    return false;
                }
                log_death(&cause, pause);
                (pause.length, 1)
            }
        };
        let until = Instant::now() + length;
        self.shared.status.send_modify(|status| {
            status.condition = ProcessCondition::Down { until };
            status.deaths += deaths;
            status.process_id = None;
        });
        let stopped = self.shared.pause(length);
        self.shared.status.send_modify(|status| status.condition = ProcessCondition::Starting);
        !stopped
    }

    /// Follows a router process to its end.
    fn watch(&mut self, mut life: Life) -> Ending {
        let control = match life.control() {
            Ok(control) => control,
            Err(error) => return Ending::NotStarted(Error::System(error)),
        };
        if self.shared.set_control(Some(control)) {
            return Ending::Death("the program has no use for it".to_owned());
        }
        if let Err(ending) = life.instruct(self.birth) {
            return ending;
        }
        let (id, mut started) = (life.id(), false);
        self.shared.status.send_modify(|status| status.process_id = Some(id));
        loop {
            match life.next(&self.files, &self.birth.on_progress) {
                News::Confined(missing) => self.tell_walls(id, &missing),
                News::Started => {
                    started = true;
                    self.failures = 0;
                    self.shared.set_streams(Some(Arc::clone(&life.streams)));
                    self.shared.status.send_modify(|status| status.condition = ProcessCondition::Running);
                    if let Some(first) = self.first.take() {
                        let _ = first.send(Ok(()));
                    }
                }
                // Otherwise, a process that was taken over would end as often as it likes.
                News::Ending(Ending::NotStarted(_)) if started => {
                    return Ending::Death("it said that it could not start, although it ran".to_owned());
                }
                News::Ending(ending) => return ending,
            }
        }
    }

    /// Says once how the router process is confined: it is the same for each.
    fn tell_walls(&mut self, id: u32, missing: &[String]) {
        if std::mem::replace(&mut self.walls_told, true) {
            return;
        }
        tracing::info!(
            "the embedded router runs in a process of its own (process ID {id}), confined to its own files"
        );
        for what in missing {
            tracing::warn!(
                "the process of the embedded router is not confined as it should be: {}",
                printable(what)
            );
        }
    }

    /// Logs that the next router process could not start. Returns how long to wait.
    fn could_not_start(&mut self, error: &Error) -> Duration {
        let doublings = 2_u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1);
        let length = FIRST_PAUSE_AFTER_FAILURE.saturating_mul(doublings).min(MAX_PAUSE_AFTER_FAILURE);
        tracing::error!("{error} Trying again in {} s", length.as_secs());
        length
    }
}

/// Says that a router process has died, and what that may mean.
fn log_death(cause: &str, Pause { length, deaths, .. }: Pause) {
    let seconds = length.as_secs_f64().ceil();
    if deaths < SUSPICIOUS_DEATHS {
        tracing::warn!(
            "the embedded router has died: {cause}. All I2P sessions have ended with it. A new one starts in {seconds} s"
        );
    } else {
        tracing::error!(
            "the embedded router has died: {cause}. That is {deaths} times within ten minutes of running. A site that was \
             visited or a router in I2P may cause this on purpose, for example to find out which identities belong to one \
             proxy. So it stays down for longer each time, now for {seconds} s. Another router, i2pd or Java I2P, does not \
             have this weakness"
        );
    }
}
