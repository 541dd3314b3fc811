//! The programs that chat, and how each is told what to do.

use std::{io, path::Path};

use anyhow::{Context, Result};
use lab::wait::{Attempt, until};
use tokio::{
    io::AsyncWriteExt,
    net::unix::pipe::{OpenOptions, Sender},
};

use super::{
    person::PATIENCE,
    server::{PASSWORD, Server},
};

/// A program that chats.
pub(super) struct Chatter {
    pub(super) name: &'static str,
    /// The name of the one who uses it. Programs of different people chat at the same time.
    pub(super) nick: &'static str,
    /// A command line that joins the channel of that name. It makes a pipe for commands, `control`.
    start: fn(nick: &str, server: &Server) -> String,
    /// What the program is told. Nothing if it cannot do that.
    command: fn(nick: &str, act: &Act<'_>) -> String,
    /// What it sends of itself and the machine without filters.
    pub(super) tells: &'static [&'static str],
}

/// What a person does with a program.
pub(super) enum Act<'a> {
    Topic,
    Say(&'a str),
    Wave,
    Away,
    Invite(&'a str),
    Kick(&'a str),
    List,
    AskVersion(&'a str),
    OfferChat(&'a str),
    OfferFile(&'a str),
    Quit,
}

pub(super) const CHATTERS: [Chatter; 3] = [
    Chatter {
        name: "weechat",
        nick: "anna",
        start: start_weechat,
        command: weechat,
        tells: &["tattler", "weechat"],
    },
    Chatter {
        name: "irssi",
        nick: "anton",
        start: start_irssi,
        command: irssi,
        tells: &["tattler", "irssi"],
    },
    Chatter {
        name: "python",
        nick: "anke",
        start: start_bot,
        command: bot,
        tells: &["tattler", "tat tler", "python"],
    },
];

impl Chatter {
    pub(super) fn line(&self, server: &Server) -> String {
        (self.start)(self.nick, server)
    }
}

/// Tells a running program what to do.
pub(super) struct Control<'a> {
    chatter: &'a Chatter,
    pipe: Sender,
}

impl<'a> Control<'a> {
    /// Waits until the program in this home directory reads its commands.
    pub(super) async fn of(chatter: &'a Chatter, home: &Path) -> Result<Self> {
        let path = home.join("control");
        let pipe = until("a program reads commands", PATIENCE, async || {
            Ok(Attempt::of::<io::Error>(OpenOptions::new().open_sender(&path)))
        })
        .await?;
        Ok(Self { chatter, pipe })
    }

    pub(super) async fn tell(&mut self, act: &Act<'_>) -> Result<()> {
        let line = (self.chatter.command)(self.chatter.nick, act);
        if line.is_empty() {
            return Ok(());
        }
        self.pipe.write_all(format!("{line}\n").as_bytes()).await.context("the program reads no commands")
    }
}

/// weechat does not work with torsocks.
fn start_weechat(nick: &str, server: &Server) -> String {
    let host = server.host;
    let login = if server.has_accounts {
        format!("-sasl_mechanism=plain -sasl_username={nick} -sasl_password={}", PASSWORD)
    } else {
        String::new()
    };
    format!(
        "env -u LD_PRELOAD weechat-headless -d weechat -r \"/proxy add ours socks5 127.0.0.1 $PORT\" \
         -r '/set irc.server_default.anti_flood_prio_high 0' -r '/set irc.server_default.anti_flood_prio_low 0' \
         -r \"/set fifo.file.path $HOME/control\" -r '/set logger.file.flush_delay 0' \
         -r '/server add far {host}/6667 -notls -nicks={nick} -autojoin=#{nick} -proxy=ours {login}' -r '/connect far'; \
         cat weechat/logs/*"
    )
}

fn weechat(nick: &str, act: &Act<'_>) -> String {
    let command = match act {
        Act::Topic => "/topic our topic".to_owned(),
        Act::Say(text) => (*text).to_owned(),
        Act::Wave => "/me waves".to_owned(),
        Act::Away => "/away gone".to_owned(),
        Act::Invite(who) => format!("/invite {who}"),
        Act::Kick(who) => format!("/kick {who} out"),
        Act::List => "/list".to_owned(),
        Act::AskVersion(who) => format!("/ctcp {who} VERSION"),
        Act::OfferChat(who) => format!("/dcc chat {who}"),
        Act::OfferFile(who) => format!("/dcc send {who} /etc/hosts"),
        Act::Quit => "/quit".to_owned(),
    };
    format!("irc.far.#{nick} *{command}")
}

fn start_irssi(nick: &str, server: &Server) -> String {
    let host = server.host;
    let login = if server.has_accounts {
        format!(
            "echo /network add -sasl_username {nick} -sasl_password {} -sasl_mechanism PLAIN far;",
            PASSWORD
        )
    } else {
        "echo /network add far;".to_owned()
    };
    // It ignores many questions at once, and sends some lines per second.
    format!(
        "mkfifo control; (sleep 1; echo /set flood_timecheck 0; echo /set autolog on; echo /set max_ctcp_queue 100; echo /set cmd_queue_speed 1msec; {login} \
         echo /set nick {nick}; echo '/channel add -auto #{nick} far'; echo /connect -notls -network far {host} 6667; cat control; sleep 2) | \
         TORSOCKS_ALLOW_INBOUND=1 script -qfec 'irssi --home=irssi' /dev/null; cat irclogs/*/*"
    )
}

fn irssi(nick: &str, act: &Act<'_>) -> String {
    match act {
        Act::Topic => format!("/topic #{nick} our topic"),
        Act::Say(text) => format!("/msg #{nick} {text}"),
        Act::Wave => format!("/action #{nick} waves"),
        Act::Away => "/away gone".to_owned(),
        Act::Invite(who) => format!("/invite {who} #{nick}"),
        Act::Kick(who) => format!("/kick #{nick} {who} out"),
        Act::List => "/list -yes".to_owned(),
        Act::AskVersion(who) => format!("/ctcp {who} VERSION"),
        Act::OfferChat(who) => format!("/dcc chat {who}"),
        Act::OfferFile(who) => format!("/dcc send {who} /etc/hosts"),
        Act::Quit => "/quit".to_owned(),
    }
}

fn start_bot(nick: &str, server: &Server) -> String {
    let password = if server.has_accounts { PASSWORD } else { "" };
    format!("mkfifo control; /usr/bin/python3 $PROGRAMS/bot.py {} {nick} {password}", server.host)
}

fn bot(nick: &str, act: &Act<'_>) -> String {
    match act {
        Act::Topic => format!("topic|#{nick}|our topic"),
        Act::Say(text) => format!("privmsg|#{nick}|{text}"),
        Act::Wave => format!("action|#{nick}|waves"),
        Act::Away => "send_raw|AWAY :gone".to_owned(),
        Act::Invite(who) => format!("invite|{who}|#{nick}"),
        Act::Kick(who) => format!("kick|#{nick}|{who}|out"),
        Act::List => "list".to_owned(),
        Act::AskVersion(who) => format!("ctcp|VERSION|{who}"),
        Act::OfferChat(who) => format!("ctcp|DCC|{who}|CHAT chat 3221226061 5000"),
        Act::OfferFile(who) => format!("ctcp|DCC|{who}|SEND hosts 3221226061 5001 1024"),
        Act::Quit => "quit|tattler leaves".to_owned(),
    }
}
