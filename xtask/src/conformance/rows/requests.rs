//! Requests and replies (RFC 1928 sections 4 to 6).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use super::Row;
use crate::conformance::{
    client::{
        ANSWER, BIND, CONNECT, Client, END, GREETING, UDP_ASSOCIATE, UNKNOWN_COMMAND, domain, hex, ip,
        request,
    },
    subject::{Far, Reach, Subject},
};

/// CD of a SOCKS4 reply that says success.
const GRANTED4: u8 = 90;

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new(
        "greeting and request in one segment",
        "clients save a round trip; TCP has no messages",
        pipelined,
    ),
    Row::new("greeting and request, split at every byte", "TCP has no messages", split_everywhere),
    Row::new(
        "data right behind the request reaches the far end",
        "optimistic data, Tor's SOCKS extensions",
        early_data,
    ),
    Row::new("greeting, request and data in one segment", "clients save two round trips", everything_at_once),
    Row::new(
        "the reply to CONNECT is one segment",
        "clients that read once; measured by one read, five times",
        one_segment,
    ),
    Row::new("reply: VER 5, RSV 0, ATYP known, all there", "RFC 1928 §6", success_reply),
    Row::new(
        "no success before the far end is connected",
        "RFC 1928 §6: the reply says how it went",
        no_early_success,
    ),
    Row::new("unknown name: 04", "RFC 1928 §6: host unreachable", unknown_name),
    Row::new("far end refuses: 05", "RFC 1928 §6: connection refused", refused),
    Row::new("unknown command: 07", "RFC 1928 §6", unknown_command),
    Row::new("BIND: 00, or 07 where there is none", "RFC 1928 §6", bind),
    Row::new(
        "UDP ASSOCIATE for 0.0.0.0:0: 00, or 07 where there is none",
        "RFC 1928 §6 and §7",
        udp_associate,
    ),
    Row::new("unknown ATYP: 08", "RFC 1928 §6", unknown_address_type),
    Row::new("RSV other than 0: refused", "RFC 1928 §4: must be 0", reserved),
    Row::new("request of another version: refused or closed", "RFC 1928 §4: VER is 5", wrong_version),
    Row::new("a failure has a whole address", "RFC 1928 §6: the same form as success", failure_form),
    Row::new("a failure is 10 bytes", "clients that read no further", failure_length),
    Row::new("closed within 10 s of a failure", "RFC 1928 §6", closed_after_failure),
];

fn to_echo(far: &Far) -> Vec<u8> {
    request(CONNECT, &domain(far.host.as_bytes()), far.services.echo)
}

fn pipelined(subject: &Subject) -> Result<()> {
    let far = subject.far()?;
    let mut client = subject.connect()?;
    client.send(&[&GREETING[..], &to_echo(far)].concat())?;
    client.expect(&[5, 0])?;
    client.succeeds()?;
    client.is_echoed()
}

fn split_everywhere(subject: &Subject) -> Result<()> {
    let far = subject.far()?;
    let message = [&GREETING[..], &to_echo(far)].concat();
    for position in 1..message.len() {
        let (first, second) = message.split_at(position);
        let mut client = subject.connect()?;
        let attempt = client.send_parts([first, second]).and_then(|()| {
            client.expect(&[5, 0])?;
            client.succeeds()?;
            client.is_echoed()
        });
        attempt.with_context(|| format!("split at byte {position}"))?;
    }
    Ok(())
}

fn early_data(subject: &Subject) -> Result<()> {
    const DATA: &[u8] = b"too early?";
    let far = subject.far()?;
    let mut client = subject.greeted()?;
    client.send(&[&to_echo(far), DATA].concat())?;
    client.succeeds()?;
    client.returns(DATA)?;
    client.is_echoed()
}

fn everything_at_once(subject: &Subject) -> Result<()> {
    const DATA: &[u8] = b"all of it";
    let far = subject.far()?;
    let mut client = subject.connect()?;
    client.send(&[&GREETING[..], &to_echo(far), DATA].concat())?;
    client.expect(&[5, 0])?;
    client.succeeds()?;
    client.returns(DATA)?;
    client.is_echoed()
}

/// A reply in two writes is one read only if the second write is quick: a pass may be luck, so it has to happen five times;
/// a failure is none.
fn one_segment(subject: &Subject) -> Result<()> {
    let far = subject.far()?;
    for _ in 0..5 {
        let mut client = subject.greeted()?;
        client.send(&to_echo(far))?;
        let Some(read) = client.read_once(ANSWER) else { bail!("no answer within {} s", ANSWER.as_secs()) };
        let whole = match *read.as_slice() {
            [5, _, 0, 1, ..] => 10,
            [5, _, 0, 4, ..] => 22,
            [5, _, 0, 3, length, ..] => 7 + usize::from(length),
            _ => bail!("the first read gave {}", hex(&read)),
        };
        ensure!(read.len() == whole, "the first read gave {} bytes of {whole}", read.len());
    }
    Ok(())
}

fn success_reply(subject: &Subject) -> Result<()> {
    let far = subject.far()?;
    let mut client = subject.greeted()?;
    client.send(&to_echo(far))?;
    client.succeeds()?;
    // Nothing of the reply is left.
    client.is_echoed()
}

fn no_early_success(subject: &Subject) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(3);
    subject.needs(subject.lacks.verdict)?;
    let far = subject.far()?;
    let mut client = subject.greeted()?;
    client.send(&request(CONNECT, &domain(far.host.as_bytes()), far.services.silent))?;
    match client.read_once(PATIENCE).as_deref() {
        Some([5, 0, ..]) => bail!("answered 00 while the far end was silent"),
        _ => Ok(()),
    }
}

fn unknown_name(subject: &Subject) -> Result<()> {
    fail(subject)?.is_refused_with(4)
}

fn refused(subject: &Subject) -> Result<()> {
    subject.needs(subject.lacks.verdict)?;
    let far = subject.far()?;
    let mut client = subject.greeted()?;
    client.send(&request(CONNECT, &domain(far.host.as_bytes()), far.services.refused))?;
    client.is_refused_with(5)
}

/// A request whose address is of no meaning, and what is said to it.
fn ask(subject: &Subject, command: u8, address: &[u8], port: u16) -> Result<Client> {
    let mut client = subject.greeted()?;
    client.send(&request(command, address, port))?;
    Ok(client)
}

fn unknown_command(subject: &Subject) -> Result<()> {
    ask(subject, UNKNOWN_COMMAND, &ip(IpAddr::V4(Ipv4Addr::LOCALHOST)), 80)?.is_refused_with(7)
}

fn supported_or_not(subject: &Subject, command: u8, address: IpAddr, port: u16) -> Result<()> {
    let code = ask(subject, command, &ip(address), port)?.reply()?.code;
    ensure!(matches!(code, 0 | 7), "answered {code:02x}");
    Ok(())
}

fn bind(subject: &Subject) -> Result<()> {
    supported_or_not(subject, BIND, IpAddr::V4(Ipv4Addr::LOCALHOST), 80)
}

fn udp_associate(subject: &Subject) -> Result<()> {
    supported_or_not(subject, UDP_ASSOCIATE, IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)
}

fn unknown_address_type(subject: &Subject) -> Result<()> {
    ask(subject, CONNECT, &[2, 127, 0, 0, 1], 80)?.is_refused_with(8)
}

fn reserved(subject: &Subject) -> Result<()> {
    let far = subject.far()?;
    let mut client = subject.greeted()?;
    let mut request = to_echo(far);
    request.splice(2..3, [1]);
    client.send(&request)?;
    client.is_refused().map(drop)
}

fn wrong_version(subject: &Subject) -> Result<()> {
    let mut client = subject.greeted()?;
    let mut request = request(CONNECT, &ip(IpAddr::V4(Ipv4Addr::LOCALHOST)), 80);
    request.splice(..1, [4]);
    client.send(&request)?;
    match client.read_once(ANSWER).as_deref() {
        Some([]) => Ok(()),
        // In either version's form.
        Some([5, code @ 1..=0xff, ..] | [0, code, ..]) if *code != GRANTED4 => Ok(()),
        Some(other) => bail!("{}", hex(other)),
        None => bail!("no answer within {} s", ANSWER.as_secs()),
    }
}

/// A connection that asks for a name that nobody has.
fn fail(subject: &Subject) -> Result<Client> {
    ask(subject, CONNECT, &domain(subject.far()?.unknown.as_bytes()), 80)
}

fn failure_form(subject: &Subject) -> Result<()> {
    fail(subject)?.is_refused().map(drop)
}

fn failure_length(subject: &Subject) -> Result<()> {
    let length = fail(subject)?.is_refused()?.bytes.len();
    ensure!(length == 10, "{length} bytes");
    Ok(())
}

fn closed_after_failure(subject: &Subject) -> Result<()> {
    let mut client = fail(subject)?;
    client.is_refused()?;
    client.ends(END)
}

/// The rows on what stands in DST.ADDR.
pub(crate) const ADDRESSES: &[Row] = &[
    Row::new("IPv4: connected, or refused where addresses lead nowhere", "RFC 1928 §5", ipv4),
    Row::new("IPv6: read whole and answered", "RFC 1928 §5", ipv6),
    Row::new("an address written as a name is answered", "torsocks and browsers send such", ip_as_name),
    Row::new("a name in capitals", "RFC 4343: names have no case", capitals),
    Row::new("a name with a dot at its end", "RFC 1034 §3.1: the same name", trailing_dot),
    Row::new("name of length 0: refused, not waited for", "RFC 1928 §5: a name is needed", empty_name),
    Row::new("name of 255 bytes: refused", "RFC 1928 §5: longer than any name", longest_name),
    Row::new("a NUL in a name does not end it", "RFC 1928 §5: it is counted, not terminated", nul_in_name),
    Row::new(
        "control characters, blanks and `=` go nowhere",
        "SAM, hosts files and logs are lines of text",
        injection,
    ),
];

fn ipv4(subject: &Subject) -> Result<()> {
    let far = subject.far()?;
    let mut client = ask(subject, CONNECT, &ip(IpAddr::V4(Ipv4Addr::LOCALHOST)), far.services.echo)?;
    match subject.reach {
        Reach::Tcp => {
            client.succeeds()?;
            client.is_echoed()
        }
        Reach::I2p => client.is_refused().map(drop),
    }
}

fn ipv6(subject: &Subject) -> Result<()> {
    ask(subject, CONNECT, &ip(IpAddr::V6(Ipv6Addr::LOCALHOST)), 1)?.is_refused().map(drop)
}

fn ip_as_name(subject: &Subject) -> Result<()> {
    let far = subject.far()?;
    let mut client = ask(subject, CONNECT, &domain(b"127.0.0.1"), far.services.echo)?;
    match subject.reach {
        Reach::Tcp => client.reply().map(drop),
        Reach::I2p => client.is_refused().map(drop),
    }
}

fn reached_by(subject: &Subject, host: &str) -> Result<()> {
    let port = subject.far()?.services.echo;
    let mut client = ask(subject, CONNECT, &domain(host.as_bytes()), port)?;
    client.succeeds()?;
    client.is_echoed()
}

fn capitals(subject: &Subject) -> Result<()> {
    reached_by(subject, &subject.far()?.host.to_ascii_uppercase())
}

fn trailing_dot(subject: &Subject) -> Result<()> {
    reached_by(subject, &format!("{}.", subject.far()?.host))
}

fn empty_name(subject: &Subject) -> Result<()> {
    ask(subject, CONNECT, &domain(b""), 80)?.is_refused().map(drop)
}

fn longest_name(subject: &Subject) -> Result<()> {
    let far = subject.far()?;
    let end = format!(".{}", far.host);
    let name = "a".repeat(255 - end.len()) + &end;
    ask(subject, CONNECT, &domain(name.as_bytes()), far.services.echo)?.is_refused().map(drop)
}

fn nul_in_name(subject: &Subject) -> Result<()> {
    let far = subject.far()?;
    let name = format!("{}\0.example", far.host);
    ask(subject, CONNECT, &domain(name.as_bytes()), far.services.echo)?.is_refused().map(drop)
}

/// Names that would say more than a name to whoever asks for them in lines of text.
fn injection(subject: &Subject) -> Result<()> {
    const MARK: &str = "injected";
    let far = subject.far()?;
    for between in [" X=", "\n", "\r\n", "\t", "=", "\"", "\x1b", "\x7f"] {
        let name = format!("{MARK}{between}{}", far.host);
        let refused = ask(subject, CONNECT, &domain(name.as_bytes()), far.services.echo)?.is_refused();
        refused.with_context(|| format!("name with {between:?}"))?;
        let passed_on = (subject.lines)().iter().any(|line| line.contains(MARK));
        ensure!(!passed_on, "a name with {between:?} was passed on");
    }
    Ok(())
}
