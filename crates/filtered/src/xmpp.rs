//! Chat by XMPP, with a person who asks a program what it is.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::{process::Command, time::timeout};

use crate::{
    machine::{Machine, Tunnel},
    marks::{self, has},
    recorder::Recorders,
    services::OFFSET,
};

const PORT: u16 = 5222;
/// How long the person talks at most.
const TALK_TIMEOUT: Duration = Duration::from_secs(60);
/// What the program tells without filters: its resource, and what it answers.
const TELLS: [&str; 3] = ["telltale", "tattler", "slixmpp"];
/// The questions to which answers tell of the machine, and which slixmpp answers. (Its answer about the time fails by itself.)
const REFUSED: [&str; 2] = ["version", "last"];

pub(crate) async fn check(machine: &Machine, recorders: &Recorders) -> Result<()> {
    for tunnel in [Tunnel::Filtered, Tunnel::Contained, Tunnel::Plain] {
        converse(machine, recorders, tunnel).await.with_context(|| format!("slixmpp, {tunnel:?}"))?;
    }
    println!("ok   slixmpp chats, and answers no question about the machine");
    Ok(())
}

async fn converse(machine: &Machine, recorders: &Recorders, tunnel: Tunnel) -> Result<()> {
    let line = "/usr/bin/python3 $PROGRAMS/xmpp.py anon chat.i2p 5222";
    let mut bob = Command::new("/usr/bin/python3");
    bob.arg(machine.program_file("xmpp.py")).args(["bob", "127.0.0.1"]).arg((PORT + OFFSET).to_string());
    let bob = async {
        Ok(timeout(TALK_TIMEOUT, bob.kill_on_drop(true).output()).await.context("bob still talks")??)
    };
    let (anon, bob) = tokio::try_join!(machine.run(tunnel, "slixmpp", line, &[]), bob)?;
    let record = recorders.take(&[PORT], "").await?;
    let [anon, bob] = [anon, bob]
        .map(|output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned());
    let talked = ["heard: and you?", "heard: bye"].iter().all(|line| has(&anon, line))
        && ["heard: hello", "in the room: to all", "ping: "].iter().all(|line| has(&bob, line));
    ensure!(talked, "it hears {anon}\nand bob {bob}\nwhat has arrived:\n{record}");
    let answers: Vec<_> =
        REFUSED.into_iter().filter(|question| !has(&bob, &format!("{question}: refused"))).collect();
    match tunnel {
        Tunnel::Filtered | Tunnel::Contained => ensure!(answers.is_empty(), "it answers {answers:?}: {bob}"),
        Tunnel::Plain => ensure!(answers == REFUSED, "without filters it answers only {answers:?}: {bob}"),
    }
    marks::check(tunnel, "slixmpp", &TELLS, &record)
}
