//! Greeting and method selection (RFC 1928 section 3), and credentials (RFC 1929).

use anyhow::{Result, bail, ensure};

use super::Row;
use crate::{
    client::{ANSWER_TIMEOUT, CLOSE_TIMEOUT, CONNECT, Client, GREETING, domain, hex, request},
    server::Server,
};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new(
        "a greeting that arrives byte by byte is read",
        "RFC 1928 §3; TCP has no messages",
        byte_by_byte,
    ),
    Row::new("no methods: refused or closed", "RFC 1928 §3: 1 to 255 methods", no_methods),
    Row::new("a method offered several times is accepted", "RFC 1928 §3", duplicates),
    Row::new("all of 255 methods are read", "RFC 1928 §3: NMETHODS is one byte", all_methods),
    Row::new("00 offered: 00 chosen", "RFC 1928 §3", none_offered),
    Row::new("only 02 offered: 02 chosen, or `05 ff` without users", "RFC 1928 §3", credentials_offered),
    Row::new("00 and 02 offered in either order: one is chosen and works", "RFC 1928 §3", both_offered),
    Row::new("only GSSAPI offered: `05 ff`, then closed", "RFC 1928 §3", gssapi),
    Row::new("only unknown methods offered: `05 ff`", "RFC 1928 §3", unknown_methods),
    Row::new("user name and password of 1 byte", "RFC 1929 §2", shortest_credentials),
    Row::new("user name and password of 255 bytes", "RFC 1929 §2", longest_credentials),
    Row::new(
        "empty user name or password",
        "some clients send empty passwords; C tor accepts them",
        empty_credentials,
    ),
    Row::new("credentials that arrive byte by byte are read", "RFC 1929 §2", credentials_byte_by_byte),
    Row::new("credentials of another version: failure, then closed", "RFC 1929 §2: VER is 1", wrong_version),
];

fn byte_by_byte(server: &Server) -> Result<()> {
    let mut client = server.connect()?;
    client.drip(&GREETING)?;
    client.expect(&[5, 0])
}

fn no_methods(server: &Server) -> Result<()> {
    let mut client = server.connect()?;
    client.send(&[5, 0])?;
    match client.read_once(CLOSE_TIMEOUT) {
        None => bail!("waits for methods"),
        Some(answer) if answer.is_empty() || answer == [5, 0xff] => Ok(()),
        Some(answer) => bail!("{}", hex(&answer)),
    }
}

/// Offers these methods and returns the server's choice.
fn choose(server: &Server, methods: &[u8]) -> Result<(Client, u8)> {
    let mut client = server.connect()?;
    let count = u8::try_from(methods.len())?;
    client.send(&[&[5, count], methods].concat())?;
    match *client.receive(2)?.as_slice() {
        [5, method] => Ok((client, method)),
        ref other => bail!("{}", hex(other)),
    }
}

fn expect_choice(server: &Server, methods: &[u8], expected: u8) -> Result<Client> {
    let (client, method) = choose(server, methods)?;
    ensure!(method == expected, "chose {method:02x}");
    Ok(client)
}

fn duplicates(server: &Server) -> Result<()> {
    expect_choice(server, &[0, 0, 0], 0).map(drop)
}

fn all_methods(server: &Server) -> Result<()> {
    // 00 comes last, and all others are unknown.
    let methods: Vec<u8> = (0x80..0xff).chain(0x80..0xff).chain([0]).collect();
    expect_choice(server, &methods, 0).map(drop)
}

fn none_offered(server: &Server) -> Result<()> {
    expect_choice(server, &[0], 0).map(drop)
}

fn credentials_offered(server: &Server) -> Result<()> {
    let (_, method) = choose(server, &[2])?;
    ensure!(matches!(method, 2 | 0xff), "chose {method:02x}");
    Ok(())
}

fn both_offered(server: &Server) -> Result<()> {
    for methods in [[0, 2], [2, 0]] {
        let (mut client, method) = choose(server, &methods)?;
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

fn gssapi(server: &Server) -> Result<()> {
    expect_choice(server, &[1], 0xff)?.expect_end(CLOSE_TIMEOUT)
}

fn unknown_methods(server: &Server) -> Result<()> {
    expect_choice(server, &[0x80, 0x03, 0xfe], 0xff).map(drop)
}

/// Encodes credentials.
fn credentials(username: &[u8], password: &[u8]) -> Vec<u8> {
    let length = |field: &[u8]| u8::try_from(field.len()).unwrap_or(u8::MAX);
    [&[1, length(username)], username, &[length(password)], password].concat()
}

fn expect_accepted(server: &Server, username: &[u8], password: &[u8]) -> Result<()> {
    server.skip_without_credentials()?;
    let mut client = expect_choice(server, &[2], 2)?;
    client.send(&credentials(username, password))?;
    client.expect(&[1, 0])?;
    // The server then reads the request.
    client.send(&request(CONNECT, &domain(b"nobody.invalid"), 1))?;
    client.reply().map(drop)
}

fn shortest_credentials(server: &Server) -> Result<()> {
    expect_accepted(server, b"u", b"p")
}

fn longest_credentials(server: &Server) -> Result<()> {
    expect_accepted(server, &[b'u'; 255], &[0xff; 255])
}

fn empty_credentials(server: &Server) -> Result<()> {
    expect_accepted(server, b"", b"password")?;
    expect_accepted(server, b"user", b"")?;
    expect_accepted(server, b"", b"")
}

fn credentials_byte_by_byte(server: &Server) -> Result<()> {
    server.skip_without_credentials()?;
    let mut client = expect_choice(server, &[2], 2)?;
    client.drip(&credentials(b"user", b"password"))?;
    client.expect(&[1, 0])
}

fn wrong_version(server: &Server) -> Result<()> {
    server.skip_without_credentials()?;
    let mut client = expect_choice(server, &[2], 2)?;
    let mut wrong = credentials(b"user", b"password");
    wrong.splice(..1, [5]);
    client.send(&wrong)?;
    match client.read_once(ANSWER_TIMEOUT) {
        Some(status) => match *status.as_slice() {
            [1, failure] if failure != 0 => client.expect_end(CLOSE_TIMEOUT),
            [] => bail!("closed without an answer"),
            ref other => bail!("{}", hex(other)),
        },
        None => bail!("no answer within {} s", ANSWER_TIMEOUT.as_secs()),
    }
}
