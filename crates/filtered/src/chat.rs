//! Chat, with a person who asks programs what they are.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

use crate::{
    machine::{Machine, Tunnel, check_record, has},
    recorder::{OFFSET, Recorders},
};

/// How long the person waits for something.
const PATIENCE: Duration = Duration::from_secs(40);
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

/// A program that chats.
struct Chatter {
    name: &'static str,
    line: &'static str,
    /// Whether it answers at once, without a filter.
    answers: bool,
}

const CHATTERS: [Chatter; 3] = [
    Chatter {
        name: "weechat",
        // It does not work with torsocks.
        line: "env -u LD_PRELOAD weechat-headless -d weechat -r \"/proxy add ours socks5 127.0.0.1 $PORT\" \
               -r '/server add i2p site.i2p/6667 -notls -nicks=anon -autojoin=#c -proxy=ours' -r '/connect i2p' \
               -r '/wait 8 /msg -server i2p #c hello' -r '/wait 9 /command -buffer irc.i2p.#c irc /me waves' -r '/wait 14 /quit'",
        answers: true,
    },
    Chatter {
        name: "irssi",
        line: "(sleep 4; echo /join '#c'; sleep 4; echo /msg '#c' hello; sleep 1; echo /action '#c' waves; sleep 12; echo /quit; sleep 1) | \
               script -qfec 'irssi --home=irssi -c site.i2p -p 6667 -n anon' /dev/null",
        // It takes many questions at once for a flood.
        answers: false,
    },
    Chatter { name: "python", line: "/usr/bin/python3 $PROGRAMS/bot.py", answers: true },
];

/// A person on the server, without a filter.
struct Person {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    heard: Vec<String>,
}

impl Person {
    async fn join() -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", 6667 + OFFSET)).await?;
        let (reader, writer) = stream.into_split();
        let mut person = Self { lines: BufReader::new(reader).lines(), writer, heard: Vec::new() };
        person.say("NICK bob\r\nUSER bob 0 * :bob\r\n").await?;
        person.hears(" 001 bob").await?;
        person.say("JOIN #c\r\nTOPIC #c :the topic\r\n").await?;
        person.hears("TOPIC #c").await?;
        Ok(person)
    }

    async fn say(&mut self, text: &str) -> Result<()> {
        self.writer.write_all(text.as_bytes()).await.context("the server is gone")
    }

    /// Waits for a line with this.
    async fn hears(&mut self, what: &str) -> Result<()> {
        let hearing = async {
            while let Some(line) = self.lines.next_line().await? {
                if line.starts_with("PING") {
                    self.writer.write_all(line.replacen("PING", "PONG", 1).as_bytes()).await?;
                    self.writer.write_all(b"\r\n").await?;
                }
                let is_it = line.contains(what);
                self.heard.push(line);
                if is_it {
                    return Ok(());
                }
            }
            bail!("the server has closed")
        };
        timeout(PATIENCE, hearing).await.with_context(|| format!("nobody has said {what:?}"))?
    }
}

pub(crate) async fn check(machine: &Machine, recorders: &Recorders) -> Result<()> {
    for chatter in &CHATTERS {
        for tunnel in [Tunnel::Filtered, Tunnel::Plain] {
            converse(machine, recorders, chatter, tunnel)
                .await
                .with_context(|| format!("{}, {tunnel:?}", chatter.name))?;
        }
        println!("ok   {} chats, answers no question, and tells nothing", chatter.name);
    }
    Ok(())
}

async fn converse(
    machine: &Machine,
    recorders: &Recorders,
    Chatter { name, line, answers: answers_questions }: &Chatter,
    tunnel: Tunnel,
) -> Result<()> {
    recorders.take();
    let mut person = Person::join().await?;
    let talk = async {
        person.hears("JOIN :#c").await?;
        for question in QUESTIONS {
            person.say(&format!("PRIVMSG anon :{question}\r\n")).await?;
        }
        person.say("NOTICE anon :DCC Send file (127.0.0.1)\r\nINVITE anon #d\r\nMODE #c +o anon\r\n").await?;
        person.hears("PRIVMSG #c :hello").await?;
        person.hears("PRIVMSG #c :\x01ACTION waves\x01").await?;
        person.hears("QUIT").await
    };
    let (output, talked) = tokio::join!(machine.run(tunnel, name, line, &[]), talk);
    let output = output?;
    let record = recorders.take();
    talked.with_context(|| {
        format!(
            "it said {}\nwhat has arrived:\n{record}",
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
        )
    })?;
    let answers: Vec<_> =
        person.heard.iter().filter(|line| line.starts_with(":anon!") && line.contains("\x01")).collect();
    let answers: Vec<_> = answers.into_iter().filter(|line| !line.contains("\x01ACTION waves\x01")).collect();
    match tunnel {
        Tunnel::Filtered => ensure!(answers.is_empty(), "it answers: {answers:?}"),
        Tunnel::Plain => {
            ensure!(
                !answers_questions || answers.iter().any(|line| has(line, "VERSION")),
                "it answers nothing: {:#?}\n{record}",
                person.heard
            );
        }
    }
    check_record(tunnel, name, name, &record)
}
