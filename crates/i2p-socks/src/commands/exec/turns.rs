//! Dials of one target over both families take turns.
//!
//! Programs connect to the second address of a name if the first does not answer within a fraction of a second (RFC 8305), and a dial
//! through I2P takes longer than that. Both addresses stand for the same target, so a second dial could only open a second stream.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use i2p_name::Target;
use i2p_tunnel::Failure;
use tokio::{sync::watch, time::sleep};

/// How long a program that has connected may take to give up its second attempt.
const GIVE_UP_TIME: Duration = Duration::from_millis(250);

/// The dials under way, by target, port and family. The first dial of each kind is known to those that wait for it.
#[derive(Default)]
pub(super) struct Turns {
    dials: Arc<Mutex<HashMap<Attempt, Outcome>>>,
}

/// A target, its port, and whether it is dialled over IPv4.
type Attempt = (Target, u16, bool);
/// How the dial has ended; `None` while it lasts.
type Outcome = watch::Receiver<Option<Result<(), Failure>>>;
/// Tells it.
type Announcement = watch::Sender<Option<Result<(), Failure>>>;

impl Turns {
    /// Dials, after a dial of the same target over the other family has ended. If that one has failed, this one fails alike.
    pub(super) async fn dial<S>(
        &self,
        (target, address): (&Target, SocketAddr),
        dial: impl Future<Output = Result<S, Failure>>,
    ) -> Result<S, Failure> {
        let attempt = |is_ipv4| (target.clone(), address.port(), is_ipv4);
        let other = self.lock().get(&attempt(!address.is_ipv4())).cloned();
        if let Some(mut other) = other {
            // An error: it was given up, and this one is alone.
            let ended = other.wait_for(Option::is_some).await.map(|outcome| *outcome);
            match ended {
                Ok(Some(Err(failure))) => return Err(failure),
                Ok(_) => sleep(GIVE_UP_TIME).await,
                Err(_) => {}
            }
        }
        let turn = Turn::begin(&self.dials, attempt(address.is_ipv4()));
        let outcome = dial.await;
        turn.end(outcome.as_ref().map(|_| ()).map_err(|failure| *failure));
        outcome
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Attempt, Outcome>> {
        self.dials.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A dial under way. Once it is dropped, nobody waits for it.
struct Turn {
    dials: Arc<Mutex<HashMap<Attempt, Outcome>>>,
    /// `None` if there is another dial of this kind already.
    first: Option<(Attempt, Announcement)>,
}

impl Turn {
    fn begin(dials: &Arc<Mutex<HashMap<Attempt, Outcome>>>, attempt: Attempt) -> Self {
        let mut open = dials.lock().unwrap_or_else(PoisonError::into_inner);
        let first = (!open.contains_key(&attempt)).then(|| {
            let (sender, receiver) = watch::channel(None);
            open.insert(attempt.clone(), receiver);
            (attempt, sender)
        });
        Self { dials: Arc::clone(dials), first }
    }

    fn end(self, outcome: Result<(), Failure>) {
        if let Some((_, sender)) = &self.first {
            sender.send_replace(Some(outcome));
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some((attempt, _)) = &self.first {
            self.dials.lock().unwrap_or_else(PoisonError::into_inner).remove(attempt);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::Ipv6Addr,
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
    };

    use tokio::time::{Instant, timeout};

    use super::*;

    const DIAL: Duration = Duration::from_secs(5);

    fn addresses() -> [SocketAddr; 2] {
        [([250, 0, 0, 1], 80).into(), (Ipv6Addr::LOCALHOST, 80).into()]
    }

    async fn dial(
        turns: &Turns,
        address: SocketAddr,
        dials: &AtomicUsize,
        outcome: Result<(), Failure>,
    ) -> Result<(), Failure> {
        let target = Target::parse(b"a.i2p").unwrap();
        let work = async {
            dials.fetch_add(1, Relaxed);
            sleep(DIAL).await;
            outcome
        };
        turns.dial((&target, address), work).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_attempt_that_is_given_up_dials_nothing() {
        let (turns, dials, [v4, v6]) = (Turns::default(), AtomicUsize::new(0), addresses());
        let second = async {
            sleep(DIAL / 10).await;
            let given_up = DIAL - DIAL / 10 + GIVE_UP_TIME / 2;
            timeout(given_up, dial(&turns, v6, &dials, Ok(()))).await
        };
        let (first, second) = tokio::join!(dial(&turns, v4, &dials, Ok(())), second);
        assert_eq!(first, Ok(()));
        assert!(second.is_err(), "it waits");
        assert_eq!(dials.load(Relaxed), 1);
        assert!(turns.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_attempt_fails_as_the_first() {
        let (turns, dials, [v4, v6]) = (Turns::default(), AtomicUsize::new(0), addresses());
        let failed = Err(Failure::Refused);
        let begin = Instant::now();
        let both = tokio::join!(dial(&turns, v6, &dials, failed), dial(&turns, v4, &dials, Ok(())));
        assert_eq!((both, dials.load(Relaxed)), ((failed, failed), 1));
        assert!(begin.elapsed() < DIAL * 2);
        // Later ones are dialled anew, and so are those of one family.
        let again = tokio::join!(dial(&turns, v4, &dials, Ok(())), dial(&turns, v4, &dials, Ok(())));
        assert_eq!((again, dials.load(Relaxed)), ((Ok(()), Ok(())), 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_wants_both_gets_both() {
        let (turns, dials, [v4, v6]) = (Turns::default(), AtomicUsize::new(0), addresses());
        let both = tokio::join!(dial(&turns, v4, &dials, Ok(())), dial(&turns, v6, &dials, Ok(())));
        assert_eq!((both, dials.load(Relaxed)), ((Ok(()), Ok(())), 2));
        // A dial that is given up holds up nobody.
        let given_up = timeout(DIAL / 2, dial(&turns, v4, &dials, Ok(())));
        let (_, second) = tokio::join!(given_up, dial(&turns, v6, &dials, Ok(())));
        assert_eq!((second, dials.load(Relaxed)), (Ok(()), 4));
    }
}
