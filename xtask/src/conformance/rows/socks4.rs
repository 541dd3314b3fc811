//! SOCKS4 and SOCKS4a (no RFC: the memos by Ying-Da Lee).

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};

use super::Row;
use crate::conformance::{
    client::{BIND, CONNECT, Client, END, UNKNOWN_COMMAND, head4, hex, request4a},
    subject::{Reach, Subject},
};

/// CD of replies.
const GRANTED: u8 = 90;
const REJECTED: u8 = 91;

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("SOCKS4 CONNECT: VN 0, and 90, or 91 where addresses lead nowhere", "SOCKS4", connect),
    Row::new("SOCKS4a CONNECT reaches a name", "SOCKS4A", connect_by_name),
    Row::new("SOCKS4a may come byte by byte", "TCP has no messages", byte_by_byte),
    Row::new("SOCKS4a: data right behind the request", "optimistic data", early_data),
    Row::new("SOCKS4a: unknown name: 91", "SOCKS4", unknown_name),
    Row::new("SOCKS4a: empty name: 91 or closed", "SOCKS4A: a name is needed", empty_name),
    Row::new("SOCKS4: unknown command: 91", "SOCKS4: rejected or failed", unknown_command),
    Row::new("SOCKS4: BIND: 90, or 91 where there is none", "SOCKS4", bind),
    Row::new("SOCKS4: closed after a failure", "SOCKS4: at once", closed_after_failure),
    Row::new("user id of 255 bytes is read", "SOCKS4: isolation tokens are long", long_user_id),
    Row::new(
        "user id of 300 bytes: answered or closed",
        "no limit is given; waiting is no answer",
        longer_user_id,
    ),
    Row::new("user id without end is cut off", "memory and time of the server", endless_user_id),
    Row::new("SOCKS4a: name without end is cut off", "memory and time of the server", endless_name),
];

fn ask(subject: &Subject, request: &[u8]) -> Result<Client> {
    let mut client = subject.connect()?;
    client.send(request)?;
    Ok(client)
}

fn connect(subject: &Subject) -> Result<()> {
    subject.needs(subject.lacks.socks4)?;
    let request = [&head4(CONNECT, subject.far()?.services.echo, [127, 0, 0, 1])[..], b"user\0"].concat();
    let mut client = ask(subject, &request)?;
    match subject.reach {
        Reach::Tcp => {
            client.is_answered4(GRANTED)?;
            client.is_echoed()
        }
        Reach::I2p => client.is_answered4(REJECTED),
    }
}

/// A request of SOCKS4a.
fn to_echo(subject: &Subject) -> Result<Vec<u8>> {
    subject.needs(subject.lacks.socks4a)?;
    let far = subject.far()?;
    Ok(request4a(CONNECT, b"", far.host.as_bytes(), far.services.echo))
}

/// A request of SOCKS4, or of SOCKS4a where addresses lead nowhere.
fn to_echo_as(subject: &Subject, user_id: &[u8]) -> Result<Vec<u8>> {
    subject.needs(subject.lacks.socks4)?;
    let far = subject.far()?;
    Ok(match subject.reach {
        Reach::Tcp => [&head4(CONNECT, far.services.echo, [127, 0, 0, 1])[..], user_id, &[0]].concat(),
        Reach::I2p => request4a(CONNECT, user_id, far.host.as_bytes(), far.services.echo),
    })
}

fn connect_by_name(subject: &Subject) -> Result<()> {
    let mut client = ask(subject, &to_echo(subject)?)?;
    client.is_answered4(GRANTED)?;
    client.is_echoed()
}

fn byte_by_byte(subject: &Subject) -> Result<()> {
    let request = to_echo(subject)?;
    let mut client = subject.connect()?;
    client.drip(&request)?;
    client.is_answered4(GRANTED)?;
    client.is_echoed()
}

fn early_data(subject: &Subject) -> Result<()> {
    const DATA: &[u8] = b"too early?";
    let mut client = ask(subject, &[&to_echo(subject)?, DATA].concat())?;
    client.is_answered4(GRANTED)?;
    client.returns(DATA)
}

fn unknown_name(subject: &Subject) -> Result<()> {
    subject.needs(subject.lacks.socks4a)?;
    let far = subject.far()?;
    ask(subject, &request4a(CONNECT, b"", far.unknown.as_bytes(), 80))?.is_answered4(REJECTED)
}

fn empty_name(subject: &Subject) -> Result<()> {
    subject.needs(subject.lacks.socks4a)?;
    match ask(subject, &request4a(CONNECT, b"", b"", 80))?.read_once(END).as_deref() {
        Some([] | [0, REJECTED, _, _, _, _, _, _]) => Ok(()),
        Some(other) => bail!("{}", hex(other)),
        None => bail!("no answer within {} s", END.as_secs()),
    }
}

fn unknown_command(subject: &Subject) -> Result<()> {
    subject.needs(subject.lacks.socks4)?;
    ask(subject, &[&head4(UNKNOWN_COMMAND, 80, [127, 0, 0, 1])[..], b"\0"].concat())?.is_answered4(REJECTED)
}

fn bind(subject: &Subject) -> Result<()> {
    subject.needs(subject.lacks.socks4)?;
    let code = ask(subject, &[&head4(BIND, 80, [127, 0, 0, 1])[..], b"\0"].concat())?.reply4()?;
    ensure!(matches!(code, GRANTED | REJECTED), "answered {code}");
    Ok(())
}

fn closed_after_failure(subject: &Subject) -> Result<()> {
    subject.needs(subject.lacks.socks4)?;
    let port = subject.far()?.services.refused;
    let mut client = ask(subject, &[&head4(CONNECT, port, [127, 0, 0, 1])[..], b"\0"].concat())?;
    client.is_answered4(REJECTED)?;
    client.ends(END)
}

fn long_user_id(subject: &Subject) -> Result<()> {
    let mut client = ask(subject, &to_echo_as(subject, &[b'u'; 255])?)?;
    client.is_answered4(GRANTED)?;
    client.is_echoed()
}

fn longer_user_id(subject: &Subject) -> Result<()> {
    let answer = ask(subject, &to_echo_as(subject, &[b'u'; 300])?)?.read_once(END);
    match answer.as_deref() {
        Some([] | [0, ..]) => Ok(()),
        Some(other) => bail!("{}", hex(other)),
        None => bail!("no answer within {} s", END.as_secs()),
    }
}

fn endless_user_id(subject: &Subject) -> Result<()> {
    subject.needs(subject.lacks.socks4)?;
    is_cut_off(subject, &head4(CONNECT, 80, [127, 0, 0, 1]))
}

fn endless_name(subject: &Subject) -> Result<()> {
    subject.needs(subject.lacks.socks4a)?;
    is_cut_off(subject, &[&head4(CONNECT, 80, [0, 0, 0, 1])[..], b"user\0"].concat())
}

/// Sends a field without end, and fails unless the server answers or closes before it has read far more than any message
/// is long. One thread writes, one reads: a server that has had enough may say so and then read on for a while.
fn is_cut_off(subject: &Subject, beginning: &[u8]) -> Result<()> {
    const MOST: usize = 32 << 20;
    const LIMIT: Duration = Duration::from_secs(20);
    let mut client = ask(subject, beginning)?;
    let mut reader = client.reader()?;
    let answer = thread::spawn(move || reader.read_once(LIMIT));
    let chunk = [b'u'; 64 << 10];
    let start = Instant::now();
    let mut sent = 0;
    while sent < MOST && start.elapsed() < LIMIT && !answer.is_finished() {
        if client.send(&chunk).is_err() {
            // Reset, or not read any further: the reader knows which.
            break;
        }
        sent += chunk.len();
    }
    ensure!(sent < MOST, "read 32 MiB of it and went on");
    match answer.join() {
        Ok(Some(_)) => Ok(()),
        _ => bail!("neither answered nor closed within {} s", LIMIT.as_secs()),
    }
}
