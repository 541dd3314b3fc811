//! Chat by IRC, with a person who asks programs what they are.

mod chatters;
mod person;
mod server;
mod talk;

use std::{path::Path, pin::pin, process::Output, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::{
    process::Child,
    sync::{Barrier, Mutex},
};

use self::{
    chatters::{CHATTERS, Chatter},
    server::{INSPIRCD, NGIRCD, Server, last_channel},
    talk::{INVITATION, People},
};
use crate::{
    machine::{Machine, Tunnel},
    marks::{self, has},
    recorder::Recorders,
    servers::start_linked_irc,
};

/// How long a program may take to start.
const PATIENCE: Duration = Duration::from_secs(40);
/// The password of all accounts.
const PASSWORD: &str = "pw12345";

/// Where the conversations take place that happen at the same time.
struct Meeting<'a> {
    machine: &'a Machine,
    recorders: &'a Recorders,
    server: &'a Server,
    tunnel: Tunnel,
    /// The other server of the network, until it ends.
    linked: Mutex<Option<Child>>,
    /// All conversations wait here for each other before that.
    before_split: Barrier,
}

pub(crate) async fn check(machine: &Machine, recorders: &Recorders, lab: &Path) -> Result<()> {
    let _librarians = tokio::try_join!(NGIRCD.prepare(), INSPIRCD.prepare())?;
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
        tokio::try_join!(meeting.hold(first), meeting.hold(second), meeting.hold(third))?;
        for Chatter { name, .. } in &CHATTERS {
            println!("ok   {name} chats at {} ({tunnel:?})", server.host);
        }
    }
    Ok(())
}

impl Meeting<'_> {
    /// Lets a program and people talk, and checks what each has got.
    async fn hold(&self, chatter: &Chatter) -> Result<()> {
        let Self { machine, server, tunnel, .. } = self;
        let name = format!("{}-{}", chatter.name, server.port);
        let line = chatter.line(server);
        let mut people = People::meet(chatter, self).await?;
        let home = machine.home(*tunnel, &name);
        let (screen, talked) =
            until_left(machine.run(*tunnel, &name, &line, &[]), people.talk(&home)).await?;
        talked.with_context(|| format!("{name}, {tunnel:?}: it shows {screen}"))?;
        let record = self.recorders.take(&[server.port], &format!("NICK {}", chatter.nick)).await?;
        let after_split = server.linked.map(|_| "irc.linked.i2p".to_owned());
        for shown in [last_channel(), INVITATION.to_owned()].into_iter().chain(after_split) {
            ensure!(has(&screen, &shown), "{name}, {tunnel:?}: it does not show {shown}, but {screen}");
        }
        people.check(*tunnel).with_context(|| format!("{name}, {tunnel:?}: what has arrived:\n{record}"))?;
        marks::check(*tunnel, chatter.name, chatter.tells, &record)
            .with_context(|| format!("{name}, {tunnel:?}"))
    }

    /// Ends the linked server, once all conversations have come to this.
    async fn split(&self) -> Result<()> {
        if self.before_split.wait().await.is_leader()
            && let Some(mut linked) = self.linked.lock().await.take()
        {
            linked.kill().await.context("the linked server has ended")?;
        }
        Ok(())
    }
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
