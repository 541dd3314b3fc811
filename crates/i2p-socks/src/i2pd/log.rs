//! What i2pd writes. It becomes part of the log of the proxy: while i2pd starts, at level debug and without anything that could be a
//! name. After that, its warnings name visited destinations, so they are shown with -vvv only.

use std::{
    io::{self, BufRead, BufReader, Read},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// The longest line. Longer ones are divided.
const MAX_LINE_BYTES: usize = 1024;

/// How many lines per second are passed on. The others are left out.
const MAX_LINES_PER_SECOND: u32 = 50;

/// A word in which so many letters, digits and signs of base64 follow one another may be a destination or a router.
const MAX_WORD: usize = 40;

/// The log of an i2pd, over all its lives. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct I2pdLog(Arc<Inner>);

#[derive(Default)]
struct Inner {
    has_started: AtomicBool,
    /// The last line of the start.
    last: Mutex<String>,
}

impl I2pdLog {
    /// Begins the log of an i2pd that starts. No client has used it.
    pub(super) fn begin_start(&self) {
        self.0.has_started.store(false, Relaxed);
        self.lock().clear();
    }

    /// From now on, lines may name destinations.
    pub(super) fn end_start(&self) {
        self.0.has_started.store(true, Relaxed);
    }

    /// What i2pd has said last while it started, in a sentence; nothing if it has said nothing.
    pub(super) fn last_words(&self) -> String {
        match self.lock().as_str() {
            "" => String::new(),
            line => format!(" The last line that it wrote: {line}."),
        }
    }

    /// Passes on what i2pd writes until it has ended. Blocks.
    pub(super) fn pass_on(&self, output: impl Read) {
        let mut output = BufReader::new(output);
        let mut limit = Limit::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            match output.by_ref().take(MAX_LINE_BYTES as u64).read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) if limit.allows_another() => self.write(&String::from_utf8_lossy(&line)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    fn write(&self, line: &str) {
        let line = printable(line);
        if line.is_empty() {
            return;
        }
        if self.0.has_started.load(Relaxed) {
            tracing::info!(target: "i2pd", "{line}");
        } else {
            let line = without_names(&line);
            tracing::debug!("i2pd: {line}");
            *self.lock() = line;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, String> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the lines of a second.
struct Limit {
    second: Instant,
    lines: u32,
}

impl Limit {
    fn new() -> Self {
        Self { second: Instant::now(), lines: 0 }
    }

    fn allows_another(&mut self) -> bool {
        if self.second.elapsed() >= Duration::from_secs(1) {
            *self = Self::new();
        }
        self.lines = self.lines.saturating_add(1);
        self.lines <= MAX_LINES_PER_SECOND
    }
}

/// A line without i2pd's colours and without characters that control a terminal.
fn printable(line: &str) -> String {
    let mut text = String::new();
    let mut is_colour = false;
    for c in line.trim_end().chars() {
        match c {
            '\u{1b}' => is_colour = true,
            _ if is_colour => is_colour = !c.is_ascii_alphabetic(),
            _ if c.is_control() => text.push(' '),
            // These make text look as if it had another order.
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => text.push(' '),
            _ => text.push(c),
        }
    }
    text
}

/// A line in which `...` stands for each word that may be the name of a host, a destination or a router.
fn without_names(line: &str) -> String {
    let may_be_name = |word: &str| {
        let longest =
            word.split(|c: char| !c.is_ascii_alphanumeric() && !"~-=+".contains(c)).map(str::len).max();
        word.to_ascii_lowercase().contains(".i2p") || longest >= Some(MAX_WORD)
    };
    let words: Vec<_> = line.split(' ').map(|word| if may_be_name(word) { "..." } else { word }).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// What has been logged, with the targets.
    #[derive(Clone, Default)]
    struct Logged(Arc<Mutex<Vec<u8>>>);

    impl Write for Logged {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Logged {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// The log of the proxy after `act`.
    fn logged(act: impl FnOnce()) -> String {
        let logged = Logged::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(logged.clone())
            .with_ansi(false)
            .without_time()
            .with_max_level(tracing::Level::TRACE)
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        let bytes = logged.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn lines_of_the_start_are_for_debugging_and_later_ones_have_a_target_that_only_vvv_shows() {
        let log = I2pdLog::default();
        let text = logged(|| {
            log.begin_start();
            log.pass_on(&b"starts\n"[..]);
            log.end_start();
            log.pass_on(&b"visits a.i2p\n"[..]);
        });
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        assert_eq!(lines, ["DEBUG i2p_socks::i2pd::log: i2pd: starts", "INFO i2pd: visits a.i2p"]);
        assert_eq!(log.last_words(), " The last line that it wrote: starts.");
    }

    #[test]
    fn a_line_of_the_start_has_no_names_and_cannot_control_a_terminal() {
        let log = I2pdLog::default();
        let b32 = "a".repeat(52);
        let router = "Ab0~".repeat(11);
        let line = format!(
            "12:00@1/\u{1b}[1;33mwarn\u{1b}[0m - x {b32}: (stats.I2P) r/{router}= \u{7}/var/i2pd\r\n"
        );
        logged(|| log.pass_on(line.as_bytes()));
        assert_eq!(
            log.last_words(),
            " The last line that it wrote: 12:00@1/warn - x ... ... ...  /var/i2pd."
        );
        log.begin_start();
        assert_eq!(log.last_words(), "");
    }

    #[test]
    fn a_flood_is_cut() {
        let log = I2pdLog::default();
        let text = logged(|| log.pass_on(io::repeat(b'\n').take(1 << 20)));
        assert_eq!(text, "");
        let long = [b'x'; 2 * MAX_LINE_BYTES];
        let text = logged(|| log.pass_on(&long[..]));
        assert_eq!(text.lines().count(), 2);
        let mut limit = Limit { second: Instant::now() + Duration::from_secs(3600), lines: 0 };
        let allowed = (0..10_000).filter(|_| limit.allows_another()).count();
        assert_eq!(allowed, MAX_LINES_PER_SECOND as usize);
    }
}
