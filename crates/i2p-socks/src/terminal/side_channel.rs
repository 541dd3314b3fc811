//! What a service tells beside its work: lines on stdout and stderr, messages to the service manager. A thread for each channel sends
//! it, so that a reader who does not read never delays the service.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How much may wait. What is more is lost, since a reader who does not read must not fill the memory.
const MAX_WAITING_BYTES: usize = 1024 * 1024;
/// What a message takes besides its bytes.
const MESSAGE_OVERHEAD_BYTES: usize = 128;

/// One direction in which messages go, in their order.
pub(crate) struct SideChannel {
    name: &'static str,
    state: Mutex<State>,
    changed: Condvar,
    /// Says in place of lost messages how many there were.
    tell_lost: fn(u64),
}

struct State {
    waiting: VecDeque<Message>,
    waiting_bytes: usize,
    /// Messages that found no room, since the last one that did.
    lost: u64,
    /// The thread has nothing to do.
    is_idle: bool,
    has_thread: bool,
}

struct Message {
    bytes: usize,
    send: Box<dyn FnOnce() + Send>,
}

impl SideChannel {
    pub(crate) const fn new(name: &'static str, tell_lost: fn(u64)) -> Self {
        let state =
            State { waiting: VecDeque::new(), waiting_bytes: 0, lost: 0, is_idle: true, has_thread: false };
        Self { name, state: Mutex::new(state), changed: Condvar::new(), tell_lost }
    }

    /// Calls `send` after all messages before it, on the thread of the channel. Does not wait. A message of this size that finds no room
    /// is lost.
    pub(crate) fn send(&'static self, bytes: usize, send: impl FnOnce() + Send + 'static) {
        let bytes = bytes + MESSAGE_OVERHEAD_BYTES;
        let mut state = self.state();
        if !state.waiting.is_empty() && state.waiting_bytes + bytes > MAX_WAITING_BYTES {
            state.lost = state.lost.saturating_add(1);
            return;
        }
        if let Some(tell_lost) = self.lost_message(&mut state) {
            state.push(tell_lost);
        }
        state.push(Message { bytes, send: Box::new(send) });
        if !state.has_thread {
            let thread = thread::Builder::new().name(self.name.to_owned());
            state.has_thread = thread.spawn(|| self.send_for_ever()).is_ok();
        }
        if !state.has_thread {
            // A system without threads to give has worse troubles than a slow reader.
            let messages = std::mem::take(&mut state.waiting);
            state.waiting_bytes = 0;
            drop(state);
            messages.into_iter().for_each(|message| (message.send)());
        }
        self.changed.notify_all();
    }

    /// Waits until all messages are sent, at most this long.
    pub(crate) fn flush(&self, limit: Option<Duration>) {
        let begin = Instant::now();
        let mut state = self.state();
        while !(state.waiting.is_empty() && state.is_idle) && state.has_thread {
            let left = limit.map(|limit| limit.saturating_sub(begin.elapsed()));
            state = match left {
                Some(Duration::ZERO) => return,
                Some(left) => {
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn send_for_ever(&'static self) {
        let mut state = self.state();
        loop {
            let message = state.pop().or_else(|| self.lost_message(&mut state));
            state.is_idle = message.is_none();
            self.changed.notify_all();
            state = match message {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(message) => {
                    drop(state);
                    // The panic is logged, and the next message is sent.
                    let _ = catch_unwind(AssertUnwindSafe(message.send));
                    self.state()
                }
            };
        }
    }

    /// The message about lost ones, if there are any.
    fn lost_message(&self, state: &mut State) -> Option<Message> {
        let (lost, tell_lost) = (std::mem::take(&mut state.lost), self.tell_lost);
        (lost > 0).then(|| Message { bytes: MESSAGE_OVERHEAD_BYTES, send: Box::new(move || tell_lost(lost)) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, message: Message) {
        self.waiting_bytes += message.bytes;
        self.waiting.push_back(message);
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.waiting.pop_front()?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(message.bytes);
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn a_reader_who_does_not_read_delays_nothing_and_is_told_what_was_lost() {
        static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
        static CHANNEL: SideChannel =
            SideChannel::new("test", |lost| SAID.lock().unwrap().push(format!("{lost} lost")));
        let say = |text: &str, bytes| {
            let text = text.to_owned();
            CHANNEL.send(bytes, move || SAID.lock().unwrap().push(text));
        };
        CHANNEL.flush(None);
        let (began, begun) = mpsc::channel();
        let (read, reads) = mpsc::channel();
        CHANNEL.send(1, move || {
            began.send(()).unwrap();
            reads.recv().unwrap();
        });
        begun.recv_timeout(LIMIT).unwrap();
        for number in 0..5 {
            say(&number.to_string(), MAX_WAITING_BYTES / 3);
        }
        say("small", 1);
        CHANNEL.flush(Some(Duration::from_millis(50)));
        assert_eq!(SAID.lock().unwrap().len(), 0);
        read.send(()).unwrap();
        CHANNEL.flush(None);
        assert_eq!(*SAID.lock().unwrap(), ["0", "1", "3 lost", "small"]);
        for number in 0..3 {
            say(&number.to_string(), 1);
        }
        CHANNEL.flush(Some(LIMIT));
        assert_eq!(SAID.lock().unwrap().len(), 7);
    }
}
