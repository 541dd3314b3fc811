//! The servers that people and programs meet on.

use anyhow::Result;

use lab::wait::{Attempt, until};

use super::person::{PATIENCE, Person};
use crate::servers::LINKED_IRC;

/// The password of all accounts.
pub(super) const PASSWORD: &str = "pw12345";
/// How many channels there are to list.
const CHANNELS: usize = 150;
/// How many a person joins at once: a line of IRC has at most 512 bytes.
const CHANNELS_PER_LINE: usize = 25;

/// A server.
pub(super) struct Server {
    /// Its name in I2P.
    pub(super) host: &'static str,
    /// The port of its recorder.
    pub(super) port: u16,
    /// The port of another server of the same network, as if it had a recorder.
    pub(super) linked: Option<u16>,
    /// Whether programs log in.
    pub(super) has_accounts: bool,
}

/// ngircd (RFC 2812).
pub(super) const NGIRCD: Server =
    Server { host: "irc.i2p", port: 6667, linked: Some(LINKED_IRC), has_accounts: false };
/// inspircd, with the extensions of IRCv3.
pub(super) const INSPIRCD: Server = Server { host: "irc3.i2p", port: 6668, linked: None, has_accounts: true };

/// The last of the channels to list.
pub(super) fn last_channel() -> String {
    channel(CHANNELS - 1)
}

fn channel(number: usize) -> String {
    format!("#lists-{number}")
}

impl Server {
    /// Makes accounts for these people, and channels to list. They are there as long as the person who is returned.
    pub(super) async fn prepare(&self, nicks: &[&str]) -> Result<Person> {
        if self.has_accounts {
            for nick in nicks {
                let mut owner = Person::connect(nick, self.port).await?;
                owner.say(&format!("PRIVMSG NickServ :REGISTER {PASSWORD} {nick}@far.i2p")).await?;
                owner.hears(&["is now registered"]).await?;
                owner.say("QUIT").await?;
            }
        }
        let mut librarian = Person::connect("librarian", self.port).await?;
        let channels: Vec<_> = (0..CHANNELS).map(channel).collect();
        for channels in channels.chunks(CHANNELS_PER_LINE) {
            librarian.say(&format!("JOIN {}", channels.join(","))).await?;
        }
        librarian.hears(&[&format!("366 librarian {}", last_channel())]).await?;
        Ok(librarian)
    }

    /// Waits until this server knows the linked one.
    pub(super) async fn until_linked(&self) -> Result<()> {
        until("the servers know each other", PATIENCE, async || {
            let mut person = Person::connect("looker", self.port).await?;
            person.say("LINKS").await?;
            person.hears(&[" 365 looker "]).await?;
            person.say("QUIT").await?;
            let is_linked = person.heard.iter().any(|line| line.contains(" 364 looker irc.linked.i2p "));
            Ok(if is_linked { Attempt::Done(()) } else { Attempt::NotYet("it is not listed".into()) })
        })
        .await
    }
}
