//! Chat by IRC, with a person who asks programs what they are.

mod chatters;
mod meeting;
mod person;
mod server;
mod talk;

use std::{path::Path, pin::pin, process::Output};

use anyhow::{Context, Result, ensure};
use tokio::sync::{Barrier, Mutex};

use self::{
    chatters::{CHATTERS, Chatter},
    meeting::Meeting,
    server::{INSPIRCD, NGIRCD, last_channel},
    talk::{INVITATION, People},
};
use crate::{
    machine::{Machine, Tunnel},
    marks::{self, has},
    recorder::Recorders,
    servers::start_linked_irc,
};

pub(crate) async fn check(machine: &Machine, recorders: &Recorders, lab: &Path) -> Result<()> {
    let nicks = CHATTERS.each_ref().map(|chatter| chatter.nick);
    let _librarians = tokio::try_join!(NGIRCD.prepare(&nicks), INSPIRCD.prepare(&nicks))?;
    for (server, tunnel) in
        [(&NGIRCD, Tunnel::Filtered), (&NGIRCD, Tunnel::Plain), (&INSPIRCD, Tunnel::Filtered)]
    {
        let linked = match server.linked {
            Some(_) => {
                let linked = start_linked_irc(lab).await?;
                server.until_linked().await?;
                Some(linked)
            }
            None => None,
        };
        let before_split = Barrier::new(CHATTERS.len());
        let meeting =
            Meeting { machine, recorders, server, tunnel, linked: Mutex::new(linked), before_split };
        let [first, second, third] = &CHATTERS;
        tokio::try_join!(hold(&meeting, first), hold(&meeting, second), hold(&meeting, third))?;
        for Chatter { name, .. } in &CHATTERS {
            println!("ok   {name} chats at {} ({tunnel:?})", server.host);
        }
    }
    Ok(())
}

/// Lets a program and people talk, and checks what each has got.
async fn hold(meeting: &Meeting<'_>, chatter: &Chatter) -> Result<()> {
    let Meeting { machine, server, tunnel, .. } = meeting;
    let name = format!("{}-{}", chatter.name, server.port);
    let line = chatter.line(server);
    let mut people = People::meet(chatter, meeting).await?;
    let home = machine.home(*tunnel, &name);
    let (screen, talked) = until_left(machine.run(*tunnel, &name, &line, &[]), people.talk(&home)).await?;
    talked.with_context(|| format!("{name}, {tunnel:?}: it shows {screen}"))?;
    let record = meeting.recorders.take(&[server.port], &format!("NICK {}", chatter.nick)).await?;
    let after_split = server.linked.map(|_| "irc.linked.i2p".to_owned());
    for shown in [last_channel(), INVITATION.to_owned()].into_iter().chain(after_split) {
        ensure!(has(&screen, &shown), "{name}, {tunnel:?}: it does not show {shown}, but {screen}");
    }
    people.check(*tunnel).with_context(|| format!("{name}, {tunnel:?}: what has arrived:\n{record}"))?;
    marks::check(*tunnel, chatter.name, chatter.tells, &record).with_context(|| format!("{name}, {tunnel:?}"))
}

/// Waits until a conversation is over, and then for the program. Returns what the program has shown, and how the conversation went. If it
/// has failed, a program that still runs is ended.
async fn until_left(
    program: impl Future<Output = Result<Output>>,
    talk: impl Future<Output = Result<()>>,
) -> Result<(String, Result<()>)> {
    let (mut program, mut talk) = (pin!(program), pin!(talk));
    let (output, talked) = tokio::select! {
        output = &mut program => (output?, talk.await),
        talked = &mut talk => match talked {
            Ok(()) => (program.await?, Ok(())),
            Err(error) => return Ok(("(it still runs)".to_owned(), Err(error))),
        },
    };
    Ok((String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(), talked))
}
