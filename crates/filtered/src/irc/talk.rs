//! What people and a program say to each other.

use std::{path::Path, time::Duration};

use anyhow::{Result, ensure};
use tokio::time::sleep;

use super::{
    chatters::{Act, Chatter, Control},
    meeting::Meeting,
    person::Person,
};
use crate::{machine::Tunnel, marks::has};

/// Where a person invites the program to.
pub(super) const INVITATION: &str = "#party";
/// What the person asks, and offers, in all spellings that programs know.
const QUESTIONS: [&str; 14] = [
    "\x01VERSION\x01",
    "\x01PING 1234567890\x01",
    "\x01TIME\x01",
    "\x01FINGER\x01",
    "\x01USERINFO\x01",
    "\x01CLIENTINFO\x01",
    "\x01SOURCE\x01",
    "\x01version\x01",
    "\x01VERSION",
    "text before \x01VERSION\x01",
    "\x01DCC SEND file 2130706433 1024 9\x01",
    "\x01DCC CHAT chat 2130706433 1024\x01",
    "\x01DCC SEND \"a file\" ::1 1024 9\x01",
    "\x01dcc chat CHAT 0x7f000001 1024\x01",
];
/// How long a program may take to show the channel that it has joined.
const JOINING_TIME: Duration = Duration::from_secs(2);
/// How long a program may take to show that people have left: irssi waits whether there are more.
const SHOWING_TIME: Duration = Duration::from_secs(4);

/// Two people in the channel of a program. One is an operator; the other one is on the linked server if there is one.
pub(super) struct People<'a> {
    chatter: &'a Chatter,
    meeting: &'a Meeting<'a>,
    bob: Person,
    carl: Person,
    bobs_name: String,
    carls_name: String,
}

impl<'a> People<'a> {
    pub(super) async fn meet(chatter: &'a Chatter, meeting: &'a Meeting<'a>) -> Result<Self> {
        let server = meeting.server;
        let [bobs_name, carls_name] = ["bob", "carl"].map(|person| format!("{person}{}", chatter.nick));
        let mut bob = Person::connect(&bobs_name, server.port).await?;
        let carl = Person::connect(&carls_name, server.linked.unwrap_or(server.port)).await?;
        bob.say(&format!("JOIN #{}", chatter.nick)).await?;
        bob.hears(&[" 366 "]).await?;
        Ok(Self { chatter, meeting, bob, carl, bobs_name, carls_name })
    }

    /// Talks with the program that runs in this home directory, until it leaves.
    pub(super) async fn talk(&mut self, home: &Path) -> Result<()> {
        let nick = self.chatter.nick;
        self.bob.hears(&[&format!(" JOIN :#{nick}")]).await?;
        self.bob.say(&format!("MODE #{nick} +o {nick}")).await?;
        self.carl_joins().await?;
        self.ask().await?;
        let mut control = Control::of(self.chatter, home).await?;
        sleep(JOINING_TIME).await;
        self.speak(&mut control).await?;
        self.moderate(&mut control).await?;
        self.offer(&mut control).await?;
        self.split().await?;
        control.tell(&Act::Quit).await?;
        self.bob.hears(&["QUIT"]).await
    }

    async fn carl_joins(&mut self) -> Result<()> {
        self.carl.say(&format!("JOIN #{}", self.chatter.nick)).await?;
        self.carl.hears(&[" 366 "]).await
    }

    async fn ask(&mut self) -> Result<()> {
        let nick = self.chatter.nick;
        for question in QUESTIONS {
            self.bob.say(&format!("PRIVMSG {nick} :{question}")).await?;
        }
        self.bob.say(&format!("NOTICE {nick} :DCC Send file (127.0.0.1)")).await?;
        self.bob.say(&format!("JOIN {INVITATION}\r\nINVITE {nick} {INVITATION}")).await
    }

    async fn speak(&mut self, control: &mut Control<'_>) -> Result<()> {
        let nick = self.chatter.nick;
        for act in [Act::Away, Act::Topic, Act::Say("hello"), Act::Wave] {
            control.tell(&act).await?;
        }
        let words =
            ["TOPIC", "PRIVMSG", "PRIVMSG"].into_iter().zip(["our topic", "hello", "\x01ACTION waves\x01"]);
        let words: Vec<_> = words.map(|(command, text)| format!("{command} #{nick} :{text}")).collect();
        self.bob.hears(&words.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        self.bob.say(&format!("WHOIS {nick}")).await?;
        let mut shown = vec![format!(" 301 {} {nick} :gone", self.bobs_name)];
        shown.extend(
            self.meeting.server.has_accounts.then(|| format!(" 330 {} {nick} {nick} ", self.bobs_name)),
        );
        self.bob.hears(&shown.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    async fn moderate(&mut self, control: &mut Control<'_>) -> Result<()> {
        let Self { chatter: Chatter { nick, .. }, carls_name, .. } = self;
        control.tell(&Act::Kick(carls_name)).await?;
        self.carl.hears(&[&format!("KICK #{nick} {carls_name}")]).await?;
        control.tell(&Act::Invite(carls_name)).await?;
        self.carl.hears(&[&format!("INVITE {carls_name}")]).await?;
        self.carl_joins().await
    }

    /// The program itself asks, and offers connections. Filtered, nobody hears of that.
    async fn offer(&mut self, control: &mut Control<'_>) -> Result<()> {
        let bob = &self.bobs_name;
        for act in [
            Act::AskVersion(bob),
            Act::OfferChat(bob),
            Act::OfferFile(bob),
            Act::List,
            Act::Say("after that"),
        ] {
            control.tell(&act).await?;
        }
        self.bob.hears(&["after that"]).await
    }

    /// The linked server ends, once all conversations have come to this.
    async fn split(&mut self) -> Result<()> {
        self.meeting.split().await?;
        if self.meeting.server.linked.is_some() {
            self.bob.hears(&["QUIT :irc.far.i2p irc.linked.i2p"]).await?;
            sleep(SHOWING_TIME).await;
        }
        Ok(())
    }

    /// Checks what people have heard of the program: filtered, neither answers nor offers.
    pub(super) fn check(&self, tunnel: Tunnel) -> Result<()> {
        let from = format!(":{}!", self.chatter.nick);
        let ctcp: Vec<_> = self
            .bob
            .heard
            .iter()
            .filter(|line| {
                line.starts_with(&from) && line.contains('\x01') && !line.contains("\x01ACTION waves\x01")
            })
            .collect();
        match tunnel {
            Tunnel::Filtered | Tunnel::Contained => {
                ensure!(ctcp.is_empty(), "it answers or offers: {ctcp:?}");
            }
            Tunnel::Plain => {
                for (command, text) in
                    [("NOTICE", "\x01VERSION "), ("PRIVMSG", "\x01VERSION\x01"), ("PRIVMSG", "\x01DCC ")]
                {
                    let is_there = ctcp.iter().any(|line| line.contains(command) && has(line, text));
                    ensure!(is_there, "no {command} with {text:?}: {ctcp:#?}");
                }
            }
        }
        Ok(())
    }
}
