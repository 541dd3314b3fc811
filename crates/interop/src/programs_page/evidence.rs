//! What shows that a command has worked.

use lab::site;

use super::{GREETING, LETTER, table::Row};
use crate::far_end;

/// What shows that a command has worked.
pub(super) enum Evidence {
    /// It shows this text.
    Shown(&'static str),
    /// The site's services receive this text.
    Received(&'static str),
}

impl Evidence {
    pub(super) fn of(row: &Row) -> Self {
        let contains = |word| row.command.contains(word);
        if contains(".git") {
            Self::Shown(site::BRANCH)
        } else if contains("letter") {
            Self::Received(LETTER)
        } else if needs_terminal(row) {
            Self::Received(far_end::IRC_TOKEN)
        } else if let Some((_, text)) = BY_HAND_EVIDENCE.iter().find(|(program, _)| contains(program)) {
            Self::Received(text)
        } else {
            Self::Shown(GREETING)
        }
    }

    /// Whether the mail server has to receive something, which speaks first.
    pub(super) fn is_mail(&self) -> bool {
        matches!(self, Self::Received(LETTER))
    }
}

/// What the site receives from programs that show no page.
const BY_HAND_EVIDENCE: [(&str, &str); 5] = [
    ("firefox-esr", "Firefox/"),
    ("transmission-cli", "GET /announce?"),
    ("qbittorrent-nox", "GET /announce?"),
    // Names of the first messages of the two protocols.
    ("bitcoind", "version"),
    ("monerod", "network_id"),
];

/// Checks whether a command starts an IRC client, which fills a terminal.
pub(super) fn needs_terminal(row: &Row) -> bool {
    ["irssi ", "weechat "].iter().any(|program| row.command.contains(program))
}
