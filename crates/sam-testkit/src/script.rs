//! What a test makes the bridge do instead of its healthy behaviour.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// One step of what the bridge does after a command.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Act {
    /// Sends these bytes in one write. `{NAME}` in them is replaced by the `NAME` of the command.
    Send(Vec<u8>),
    /// Sends these bytes one by one, each in a write of its own and with this pause after it. `{NAME}` is replaced as in
    /// [`Act::Send`].
    Split(Vec<u8>, Duration),
    /// Waits. With tokio's paused clock this takes no time.
    Wait(Duration),
    /// Reads for this long, and records all that arrives, with its newlines, as one command.
    Listen(Duration),
    /// Does what a healthy bridge does after this command. The script ends here if the connection becomes a stream.
    Behave,
    /// Sends nothing more and keeps the connection open.
    Hang,
    /// Makes the connection a stream to a far end that sends back what it receives, until the client's FIN.
    Echo,
    /// Makes the connection a stream to a far end that reads until the client's FIN and then sends these bytes.
    AnswerAfterFin(Vec<u8>),
    /// Treats the command as a STREAM CONNECT: connects to its `TO_PORT` on 127.0.0.1, whatever its destination is (except a
    /// base32 address that nobody has, which is refused), answers whether that succeeded, and
    /// makes the connection a stream to the server there. As on every router, the client's FIN ends both directions; the
    /// server's does not. On Linux, the server sees an address of 127.0.0.0/8 that stands for the session's destination.
    Dial,
    /// Closes the connection.
    Close,
}

impl Act {
    /// A line and its newline.
    #[must_use]
    pub fn line(text: &str) -> Self {
        Self::Send(format!("{text}\n").into_bytes())
    }

    /// A line without its newline, then the end of the connection: an error of emissary.
    #[must_use]
    pub fn refuse_without_newline(text: &str) -> [Self; 2] {
        [Self::Send(text.as_bytes().to_vec()), Self::Close]
    }

    /// A line and its newline, then the end of the connection: an error of Java I2P or i2pd.
    #[must_use]
    pub fn refuse(text: &str) -> [Self; 2] {
        [Self::line(text), Self::Close]
    }

    /// The healthy behaviour after this delay: a slow session, a late answer.
    #[must_use]
    pub fn late(by: Duration) -> [Self; 2] {
        [Self::Wait(by), Self::Behave]
    }

    /// The act with `{NAME}` filled in.
    fn filled(&self, name: &str) -> Self {
        let fill = |bytes: &[u8]| match std::str::from_utf8(bytes) {
            Ok(text) => text.replace("{NAME}", name).into_bytes(),
            Err(_) => bytes.to_vec(),
        };
        match self {
            Self::Send(bytes) => Self::Send(fill(bytes)),
            Self::Split(bytes, pause) => Self::Split(fill(bytes), *pause),
            act => act.clone(),
        }
    }
}

/// What to do instead of the healthy behaviour, by the text with which a command starts.
#[derive(Default)]
pub(crate) struct Script {
    always: HashMap<String, Vec<Act>>,
    once: HashMap<String, VecDeque<Vec<Act>>>,
}

impl Script {
    /// Sets what to do after every command that starts with this text.
    pub(crate) fn on(&mut self, prefix: &str, acts: Vec<Act>) {
        self.always.insert(prefix.to_owned(), acts);
    }

    /// Sets what to do after the next such command. Further calls are for the commands after it.
    pub(crate) fn once(&mut self, prefix: &str, acts: Vec<Act>) {
        self.once.entry(prefix.to_owned()).or_default().push_back(acts);
    }

    /// What to do after this line. What is set for one command comes first, then the longest text that matches. `None` for the
    /// healthy behaviour.
    pub(crate) fn after(&mut self, line: &str) -> Option<Vec<Act>> {
        let matches = |prefix: &&String| line.starts_with(prefix.as_str());
        let once = self.once.keys().filter(matches).max_by_key(|prefix| prefix.len()).cloned();
        let acts = match once {
            Some(prefix) => {
                let waiting = self.once.get_mut(&prefix)?;
                let acts = waiting.pop_front();
                if waiting.is_empty() {
                    self.once.remove(&prefix);
                }
                acts?
            }
            None => {
                let prefix = self.always.keys().filter(matches).max_by_key(|prefix| prefix.len())?;
                self.always.get(prefix)?.clone()
            }
        };
        let name = line.split(' ').find_map(|pair| pair.strip_prefix("NAME=")).unwrap_or_default();
        Some(acts.iter().map(|act| act.filled(name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(script: &mut Script, line: &str) -> Option<String> {
        let acts = script.after(line)?;
        let [Act::Send(bytes)] = acts.as_slice() else { panic!("{acts:?}") };
        Some(String::from_utf8(bytes.clone()).unwrap())
    }

    #[test]
    fn once_comes_first_then_the_longest_text() {
        let mut script = Script::default();
        let acts = |text: &str| vec![Act::Send(text.into())];
        assert_eq!(sent(&mut script, "NAMING LOOKUP NAME=a"), None);
        script.on("NAMING", acts("short"));
        script.on("NAMING LOOKUP NAME=a", acts("long {NAME}"));
        script.once("NAMING", acts("first"));
        script.once("NAMING", acts("second"));
        let all: Vec<_> =
            (0..4).map(|_| sent(&mut script, "NAMING LOOKUP NAME=ab OPTIONS=true").unwrap()).collect();
        assert_eq!(all, ["first", "second", "long ab", "long ab"]);
        assert_eq!(sent(&mut script, "NAMING LOOKUP NAME=b").unwrap(), "short");
    }
}
