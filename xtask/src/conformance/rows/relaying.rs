//! What comes after the reply. No RFC says anything of it; programs break when it is done wrong.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Row;
use crate::conformance::{
    client::{Client, END},
    services::{END_SEEN, FAREWELL, NO_END_SEEN, WELCOME},
    subject::Subject,
};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("a mebibyte comes back as it was sent", "TCP", mebibyte),
    Row::new("a far end that speaks first is heard", "SMTP, IRC, SSH", far_end_first),
    Row::new(
        "a client that has finished sending gets its answer",
        "nc reading from a pipe, HTTP/1.0",
        answer_after_end,
    ),
    Row::new("the client's end is passed on", "servers that read to the end", client_end),
    Row::new("the far end's end is passed on", "clients that read to the end", far_end),
    Row::new(
        "after the far end's end it still hears the client",
        "TCP ends each way for itself",
        after_far_end,
    ),
];

fn mebibyte(subject: &Subject) -> Result<()> {
    const SIZE: u32 = 1 << 20;
    let far = subject.far()?;
    let mut client = subject.connected(far, far.services.echo)?;
    // Knuth's multiplicative hash: no part looks like another.
    let data: Vec<u8> = (0..SIZE).map(|index| index.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let mut reader = client.reader()?;
    std::thread::scope(|scope| {
        let came = scope.spawn(|| reader.returns(&data));
        client.send(&data)?;
        came.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the reader failed")))
    })
}

fn far_end_first(subject: &Subject) -> Result<()> {
    let far = subject.far()?;
    let mut client = subject.connected(far, far.services.welcome)?;
    client.expect(WELCOME)?;
    client.is_echoed()
}

/// What a server that waits for the client's end for a while says then.
fn answered(subject: &Subject) -> Result<Vec<u8>> {
    let far = subject.far()?;
    let mut client = subject.connected(far, far.services.answer)?;
    client.send(b"a request\n")?;
    client.finish()?;
    client.receive(END_SEEN.len())
}

fn answer_after_end(subject: &Subject) -> Result<()> {
    let answer = answered(subject)?;
    ensure!(answer == END_SEEN || answer == NO_END_SEEN, "another answer than was given");
    Ok(())
}

fn client_end(subject: &Subject) -> Result<()> {
    subject.needs(subject.lacks.client_end)?;
    let answer = answered(subject)?;
    ensure!(answer == END_SEEN, "the server waits for it in vain");
    Ok(())
}

/// A client that has heard all of the farewell.
fn heard_farewell(subject: &Subject) -> Result<Client> {
    let far = subject.far()?;
    let mut client = subject.connected(far, far.services.farewell)?;
    let came = client.receive(FAREWELL.len()).context("not what the far end says first")?;
    ensure!(came == FAREWELL, "other bytes than the far end sent");
    client.ends(END)?;
    Ok(client)
}

fn far_end(subject: &Subject) -> Result<()> {
    heard_farewell(subject).map(drop)
}

fn after_far_end(subject: &Subject) -> Result<()> {
    let text = format!("said to {} after the farewell", subject.address);
    let mut client = heard_farewell(subject)?;
    client.send(text.as_bytes())?;
    ensure!(subject.far()?.services.hears(text.as_bytes(), END), "what the client sends is lost");
    Ok(())
}

/// How long the far end's first bytes take behind the reply to CONNECT: the median of five. A server that sends the reply
/// and leaves Nagle's algorithm on holds them back until the client's delayed acknowledgement.
pub(crate) fn first_byte(subject: &Subject) -> Result<Duration> {
    let far = subject.far()?;
    let mut times = Vec::new();
    for _ in 0..5 {
        let mut client = subject.connected(far, far.services.welcome)?;
        let start = Instant::now();
        client.receive(WELCOME.len())?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times.get(times.len() / 2).copied().context("no measurement")
}
