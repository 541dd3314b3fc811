use std::{collections::HashMap, time::Duration};

use crate::{destination, private_key};

/// One thing the bridge does after a command.
#[derive(Debug, Clone)]
pub enum Act {
    /// Sends these bytes in one write.
    Send(Vec<u8>),
    /// Waits; with tokio's paused clock, no time passes.
    Wait(Duration),
    /// Reads for this long and adds what came, newlines and all, to the commands as one.
    Listen(Duration),
    /// Says nothing more and keeps the connection open.
    Hang,
    /// From here on the connection is a stream to a far end that returns what it gets, until the client's FIN.
    Echo,
    /// From here on the connection is a stream to a far end that reads until the client's FIN and then answers.
    AnswerAfterFin(Vec<u8>),
    /// Takes the command for a STREAM CONNECT: dials its `TO_PORT` on 127.0.0.1, says what became of that, and is a stream
    /// to the server there. As at every router, the client's FIN ends the stream both ways; the server's does not.
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
}

/// What to do after commands that start with some text. The longest match wins.
pub(crate) struct Script(HashMap<String, Vec<Act>>);

impl Script {
    pub(crate) fn healthy() -> Self {
        let mut script = Self(HashMap::new());
        let known =
            |name: &str| [Act::line(&format!("NAMING REPLY RESULT=OK NAME={name} VALUE={}", destination()))];
        script.on("HELLO", [Act::line("HELLO REPLY RESULT=OK VERSION=3.3")]);
        script.on(
            "SESSION CREATE",
            [Act::line(&format!("SESSION STATUS RESULT=OK DESTINATION={}", private_key()))],
        );
        script.on("NAMING LOOKUP", [Act::line("NAMING REPLY RESULT=KEY_NOT_FOUND NAME={NAME}")]);
        script.on("NAMING LOOKUP NAME=known.i2p", known("known.i2p"));
        script.on("NAMING LOOKUP NAME=echo.i2p", known("echo.i2p"));
        script.on("STREAM CONNECT", [Act::line("STREAM STATUS RESULT=OK"), Act::Echo]);
        script
    }

    pub(crate) fn on(&mut self, command: &str, acts: impl IntoIterator<Item = Act>) {
        self.0.insert(command.to_owned(), acts.into_iter().collect());
    }

    /// What to do after this line. `{NAME}` in an answer is the command's own `NAME`. Unknown commands get what
    /// emissary gives them: silence.
    pub(crate) fn after(&self, line: &str) -> Vec<Act> {
        let matching = self.0.iter().filter(|(command, _)| line.starts_with(command.as_str()));
        let Some((_, acts)) = matching.max_by_key(|(command, _)| command.len()) else { return Vec::new() };
        let name = line.split(' ').find_map(|pair| pair.strip_prefix("NAME=")).unwrap_or_default();
        let fill = |act: &Act| match act {
            Act::Send(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Act::Send(text.replace("{NAME}", name).into_bytes()),
                Err(_) => act.clone(),
            },
            _ => act.clone(),
        };
        acts.iter().map(fill).collect()
    }
}
