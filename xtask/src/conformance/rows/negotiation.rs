//! Greeting and method selection (RFC 1928 section 3), and credentials (RFC 1929).

use anyhow::{Result, bail, ensure};

use super::Row;
use crate::conformance::{
    client::{ANSWER, CONNECT, Client, END, GREETING, domain, hex, request},
    subject::Subject,
};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("a greeting may come byte by byte", "RFC 1928 §3; TCP has no messages", byte_by_byte),
    Row::new(
        "no method at all: refused or closed, not waited for",
        "RFC 1928 §3: 1 to 255 methods",
        no_methods,
    ),
    Row::new("a method offered twice is a method offered", "RFC 1928 §3", duplicates),
    Row::new("255 methods are read to the last", "RFC 1928 §3: NMETHODS is one byte", all_methods),
    Row::new("00 offered: 00 chosen", "RFC 1928 §3", none_offered),
    Row::new("02 offered alone: 02, or `05 ff` where there are no users", "RFC 1928 §3", credentials_offered),
    Row::new("00 and 02 offered, either first: one of them, and it works", "RFC 1928 §3", both_offered),
    Row::new("GSSAPI alone: `05 ff`, then the end", "RFC 1928 §3", gssapi),
    Row::new("only unknown methods: `05 ff`", "RFC 1928 §3", unknown_methods),
    Row::new("credentials of 1 byte each", "RFC 1929 §2", shortest_credentials),
    Row::new("credentials of 255 bytes each", "RFC 1929 §2", longest_credentials),
    Row::new(
        "empty user name, empty password",
        "clients with empty passwords exist; C tor takes them",
        empty_credentials,
    ),
    Row::new("credentials may come byte by byte", "RFC 1929 §2", credentials_byte_by_byte),
    Row::new(
        "wrong version of credentials: `01`, not 0, then the end",
        "RFC 1929 §2: VER is 1",
        wrong_version,
    ),
];

fn byte_by_byte(subject: &Subject) -> Result<()> {
    let mut client = subject.connect()?;
    client.drip(&GREETING)?;
    client.expect(&[5, 0])
}

fn no_methods(subject: &Subject) -> Result<()> {
    let mut client = subject.connect()?;
    client.send(&[5, 0])?;
    match client.read_once(END) {
        None => bail!("waits for methods"),
        Some(answer) if answer.is_empty() || answer == [5, 0xff] => Ok(()),
        Some(answer) => bail!("{}", hex(&answer)),
    }
}

/// The server's choice among these methods.
fn choice(subject: &Subject, methods: &[u8]) -> Result<(Client, u8)> {
    let mut client = subject.connect()?;
    let count = u8::try_from(methods.len())?;
    client.send(&[&[5, count], methods].concat())?;
    match *client.receive(2)?.as_slice() {
        [5, method] => Ok((client, method)),
        ref other => bail!("{}", hex(other)),
    }
}

fn chooses(subject: &Subject, methods: &[u8], expected: u8) -> Result<Client> {
    let (client, method) = choice(subject, methods)?;
    ensure!(method == expected, "chose {method:02x}");
    Ok(client)
}

fn duplicates(subject: &Subject) -> Result<()> {
    chooses(subject, &[0, 0, 0], 0).map(drop)
}

fn all_methods(subject: &Subject) -> Result<()> {
    // 00 comes last, and none of the others is known.
    let methods: Vec<u8> = (0x80..0xff).chain(0x80..0xff).chain([0]).collect();
    chooses(subject, &methods, 0).map(drop)
}

fn none_offered(subject: &Subject) -> Result<()> {
    chooses(subject, &[0], 0).map(drop)
}

fn credentials_offered(subject: &Subject) -> Result<()> {
    let (_, method) = choice(subject, &[2])?;
    ensure!(matches!(method, 2 | 0xff), "chose {method:02x}");
    Ok(())
}

fn both_offered(subject: &Subject) -> Result<()> {
    for methods in [[0, 2], [2, 0]] {
        let (mut client, method) = choice(subject, &methods)?;
        ensure!(methods.contains(&method), "chose {method:02x}");
        if method == 2 {
            client.send(&credentials(b"user", b"password"))?;
            client.expect(&[1, 0])?;
        }
        client.send(&request(CONNECT, &domain(b"nobody.invalid"), 1))?;
        client.reply()?;
    }
    Ok(())
}

fn gssapi(subject: &Subject) -> Result<()> {
    chooses(subject, &[1], 0xff)?.ends(END)
}

fn unknown_methods(subject: &Subject) -> Result<()> {
    chooses(subject, &[0x80, 0x03, 0xfe], 0xff).map(drop)
}

/// What a client says of itself.
fn credentials(username: &[u8], password: &[u8]) -> Vec<u8> {
    let length = |field: &[u8]| u8::try_from(field.len()).unwrap_or(u8::MAX);
    [&[1, length(username)], username, &[length(password)], password].concat()
}

fn accepted(subject: &Subject, username: &[u8], password: &[u8]) -> Result<()> {
    subject.takes_credentials()?;
    let mut client = chooses(subject, &[2], 2)?;
    client.send(&credentials(username, password))?;
    client.expect(&[1, 0])?;
    // And the conversation goes on where it should.
    client.send(&request(CONNECT, &domain(b"nobody.invalid"), 1))?;
    client.reply().map(drop)
}

fn shortest_credentials(subject: &Subject) -> Result<()> {
    accepted(subject, b"u", b"p")
}

fn longest_credentials(subject: &Subject) -> Result<()> {
    accepted(subject, &[b'u'; 255], &[0xff; 255])
}

fn empty_credentials(subject: &Subject) -> Result<()> {
    accepted(subject, b"", b"password")?;
    accepted(subject, b"user", b"")?;
    accepted(subject, b"", b"")
}

fn credentials_byte_by_byte(subject: &Subject) -> Result<()> {
    subject.takes_credentials()?;
    let mut client = chooses(subject, &[2], 2)?;
    client.drip(&credentials(b"user", b"password"))?;
    client.expect(&[1, 0])
}

fn wrong_version(subject: &Subject) -> Result<()> {
    subject.takes_credentials()?;
    let mut client = chooses(subject, &[2], 2)?;
    let mut wrong = credentials(b"user", b"password");
    wrong.splice(..1, [5]);
    client.send(&wrong)?;
    match client.read_once(ANSWER) {
        Some(status) => match *status.as_slice() {
            [1, failure] if failure != 0 => client.ends(END),
            [] => bail!("closed without an answer"),
            ref other => bail!("{}", hex(other)),
        },
        None => bail!("no answer within {} s", ANSWER.as_secs()),
    }
}
