//! Requests and replies (RFC 1928 sections 4 to 6).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use super::Row;
use crate::{
    client::{
        ANSWER_TIMEOUT, BIND, CLOSE_TIMEOUT, CONNECT, Client, GREETING, UDP_ASSOCIATE, UNKNOWN_COMMAND,
        domain, hex, ip, request,
    },
    server::{Reach, Server, Target},
};

/// CD of a SOCKS4 reply of success.
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
        "data right after the request reaches the target",
        "optimistic data, Tor's SOCKS extensions",
        early_data,
    ),
    Row::new("greeting, request and data in one segment", "clients save two round trips", everything_at_once),
    Row::new(
        "the reply to CONNECT is one segment",
        "some clients read once; tested with one read, five times",
        one_segment,
    ),
    Row::new("the reply is complete, with VER 5, RSV 0 and a known ATYP", "RFC 1928 §6", success_reply),
    Row::alone(
        "no success before the target is connected",
        "RFC 1928 §6: the reply is the outcome",
        no_early_success,
    ),
    Row::new("unknown name: 04", "RFC 1928 §6: host unreachable", unknown_name),
    Row::new("target refuses: 05", "RFC 1928 §6: connection refused", refused),
    Row::new("unknown command: 07", "RFC 1928 §6", unknown_command),
    Row::new("BIND: 00, or 07 if unsupported", "RFC 1928 §6", bind),
    Row::new("UDP ASSOCIATE for 0.0.0.0:0: 00, or 07 if unsupported", "RFC 1928 §6 and §7", udp_associate),
    Row::new("BIND, where it is allowed: 00", "file transfer, peer-to-peer programs", bind_granted),
    Row::new("UDP ASSOCIATE, where it is allowed: 00 and a port", "games, voice, trackers", udp_granted),
    Row::new("unknown ATYP: 08", "RFC 1928 §6", unknown_address_type),
    Row::new("RSV other than 0: refused", "RFC 1928 §4: must be 0", reserved),
    Row::new("request of another version: refused or closed", "RFC 1928 §4: VER is 5", wrong_version),
    Row::new("a failure reply has a complete address", "RFC 1928 §6: the same form as success", failure_form),
    Row::new("a failure reply has 10 bytes", "some clients read no further", failure_length),
    Row::new("closed within 10 s of a failure", "RFC 1928 §6", closed_after_failure),
];

fn to_echo(target: &Target) -> Vec<u8> {
    request(CONNECT, &domain(target.host.as_bytes()), target.services.echo)
}

fn pipelined(server: &Server) -> Result<()> {
    let target = server.target()?;
    let mut client = server.connect()?;
    client.send(&[&GREETING[..], &to_echo(target)].concat())?;
    client.expect(&[5, 0])?;
    client.expect_success()?;
    client.expect_echo()
}

fn split_everywhere(server: &Server) -> Result<()> {
    let target = server.target()?;
    let message = [&GREETING[..], &to_echo(target)].concat();
    for position in 1..message.len() {
        let (first, second) = message.split_at(position);
        let mut client = server.connect()?;
        let attempt = client.send_parts([first, second]).and_then(|()| {
            client.expect(&[5, 0])?;
            client.expect_success()?;
            client.expect_echo()
        });
        attempt.with_context(|| format!("split at byte {position}"))?;
    }
    Ok(())
}

fn early_data(server: &Server) -> Result<()> {
    const DATA: &[u8] = b"too early?";
    let target = server.target()?;
    let mut client = server.greeted()?;
    client.send(&[&to_echo(target), DATA].concat())?;
    client.expect_success()?;
    client.expect_back(DATA)?;
    client.expect_echo()
}

fn everything_at_once(server: &Server) -> Result<()> {
    const DATA: &[u8] = b"all of it";
    let target = server.target()?;
    let mut client = server.connect()?;
    client.send(&[&GREETING[..], &to_echo(target), DATA].concat())?;
    client.expect(&[5, 0])?;
    client.expect_success()?;
    client.expect_back(DATA)?;
    client.expect_echo()
}

/// A reply in two writes may arrive in one read by luck, so the row has to pass five times. A failure is never luck.
fn one_segment(server: &Server) -> Result<()> {
    let target = server.target()?;
    for _ in 0..5 {
        let mut client = server.greeted()?;
        client.send(&to_echo(target))?;
        let Some(read) = client.read_once(ANSWER_TIMEOUT) else {
            bail!("no answer within {} s", ANSWER_TIMEOUT.as_secs())
        };
        let whole = match *read.as_slice() {
            [5, _, 0, 1, ..] => 10,
            [5, _, 0, 4, ..] => 22,
            [5, _, 0, 3, length, ..] => 7 + usize::from(length),
            _ => bail!("the first read returned {}", hex(&read)),
        };
        ensure!(read.len() == whole, "the first read returned {} bytes of {whole}", read.len());
    }
    Ok(())
}

fn success_reply(server: &Server) -> Result<()> {
    let target = server.target()?;
    let mut client = server.greeted()?;
    client.send(&to_echo(target))?;
    client.expect_success()?;
    // No byte of the reply is left.
    client.expect_echo()
}

fn no_early_success(server: &Server) -> Result<()> {
    let target = server.target()?;
    match &server.far_router {
        None => {
            server.skip_if(server.limitations.target_reply)?;
            silent_target(server, target, target.services.silent)
        }
        Some(far) => {
            far.off()?;
            let outcome = silent_target(server, target, target.services.echo);
            far.on()?;
            outcome
        }
    }
}

fn silent_target(server: &Server, target: &Target, port: u16) -> Result<()> {
    const SILENCE: Duration = Duration::from_secs(3);
    let mut client = server.greeted()?;
    client.send(&request(CONNECT, &domain(target.host.as_bytes()), port))?;
    match client.read_once(SILENCE).as_deref() {
        Some([5, 0, ..]) => bail!("answered 00 while the target was silent"),
        _ => Ok(()),
    }
}

fn unknown_name(server: &Server) -> Result<()> {
    connect_to_unknown(server)?.expect_refusal_with(4)
}

fn refused(server: &Server) -> Result<()> {
    server.skip_if(server.limitations.target_reply)?;
    let target = server.target()?;
    let mut client = server.greeted()?;
    client.send(&request(CONNECT, &domain(target.host.as_bytes()), target.services.refused))?;
    client.expect_refusal_with(5)
}

/// Sends a request.
fn request_on(server: &Server, command: u8, address: &[u8], port: u16) -> Result<Client> {
    let mut client = server.greeted()?;
    client.send(&request(command, address, port))?;
    Ok(client)
}

fn unknown_command(server: &Server) -> Result<()> {
    request_on(server, UNKNOWN_COMMAND, &ip(IpAddr::V4(Ipv4Addr::LOCALHOST)), 80)?.expect_refusal_with(7)
}

fn expect_supported_or_not(server: &Server, command: u8, address: IpAddr, port: u16) -> Result<()> {
    let code = request_on(server, command, &ip(address), port)?.reply()?.code;
    ensure!(matches!(code, 0 | 7), "answered {code:02x}");
    Ok(())
}

fn bind(server: &Server) -> Result<()> {
    expect_supported_or_not(server, BIND, IpAddr::V4(Ipv4Addr::LOCALHOST), 80)
}

fn udp_associate(server: &Server) -> Result<()> {
    expect_supported_or_not(server, UDP_ASSOCIATE, IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)
}

fn bind_granted(server: &Server) -> Result<()> {
    let mut client = Client::greeted(server.peer_to_peer)?;
    client.send(&request(BIND, &domain(server.target()?.host.as_bytes()), 80))?;
    client.expect_success()
}

fn udp_granted(server: &Server) -> Result<()> {
    let mut client = Client::greeted(server.peer_to_peer)?;
    client.send(&request(UDP_ASSOCIATE, &ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), 0))?;
    let reply = client.reply()?;
    ensure!(reply.code == 0, "answered {:02x}", reply.code);
    ensure!(!reply.bytes.ends_with(&[0, 0]), "BND.PORT is 0");
    Ok(())
}

fn unknown_address_type(server: &Server) -> Result<()> {
    request_on(server, CONNECT, &[2, 127, 0, 0, 1], 80)?.expect_refusal_with(8)
}

fn reserved(server: &Server) -> Result<()> {
    let target = server.target()?;
    let mut client = server.greeted()?;
    let mut request = to_echo(target);
    request.splice(2..3, [1]);
    client.send(&request)?;
    client.expect_refusal().map(drop)
}

fn wrong_version(server: &Server) -> Result<()> {
    let mut client = server.greeted()?;
    let mut request = request(CONNECT, &ip(IpAddr::V4(Ipv4Addr::LOCALHOST)), 80);
    request.splice(..1, [4]);
    client.send(&request)?;
    match client.read_once(ANSWER_TIMEOUT).as_deref() {
        Some([]) => Ok(()),
        // In the form of either version.
        Some([5, code @ 1..=0xff, ..] | [0, code, ..]) if *code != GRANTED4 => Ok(()),
        Some(other) => bail!("{}", hex(other)),
        None => bail!("no answer within {} s", ANSWER_TIMEOUT.as_secs()),
    }
}

/// Sends a request for a name that does not exist.
fn connect_to_unknown(server: &Server) -> Result<Client> {
    request_on(server, CONNECT, &domain(server.target()?.unknown_host.as_bytes()), 80)
}

fn failure_form(server: &Server) -> Result<()> {
    connect_to_unknown(server)?.expect_refusal().map(drop)
}

fn failure_length(server: &Server) -> Result<()> {
    let length = connect_to_unknown(server)?.expect_refusal()?.bytes.len();
    ensure!(length == 10, "{length} bytes");
    Ok(())
}

fn closed_after_failure(server: &Server) -> Result<()> {
    let mut client = connect_to_unknown(server)?;
    client.expect_refusal()?;
    client.expect_end(CLOSE_TIMEOUT)
}

/// The rows about DST.ADDR.
pub(crate) const ADDRESSES: &[Row] = &[
    Row::new("IPv4: connected, or refused if only names are supported", "RFC 1928 §5", ipv4),
    Row::new("IPv6: read completely and answered", "RFC 1928 §5", ipv6),
    Row::new("an IPv4 address sent as a name gets a reply", "torsocks and browsers send it", ip_as_name),
    Row::new("a name in capitals", "RFC 4343: case does not matter", capitals),
    Row::new("a name with a trailing dot", "RFC 1034 §3.1: the same name", trailing_dot),
    Row::new("empty name: refused", "RFC 1928 §5: a name is required", empty_name),
    Row::new("name of 255 bytes: refused", "RFC 1928 §5: longer than any name", longest_name),
    Row::new("a NUL in a name does not end it", "RFC 1928 §5: the length is given", nul_in_name),
    Row::new(
        "names with control characters, blanks or `=` are refused and not passed on",
        "SAM, hosts files and logs are lines of text",
        injection,
    ),
];

fn ipv4(server: &Server) -> Result<()> {
    let target = server.target()?;
    let mut client = request_on(server, CONNECT, &ip(IpAddr::V4(Ipv4Addr::LOCALHOST)), target.services.echo)?;
    match server.reach {
        Reach::Tcp => {
            client.expect_success()?;
            client.expect_echo()
        }
        Reach::I2p => client.expect_refusal().map(drop),
    }
}

fn ipv6(server: &Server) -> Result<()> {
    request_on(server, CONNECT, &ip(IpAddr::V6(Ipv6Addr::LOCALHOST)), 1)?.expect_refusal().map(drop)
}

fn ip_as_name(server: &Server) -> Result<()> {
    let target = server.target()?;
    let mut client = request_on(server, CONNECT, &domain(b"127.0.0.1"), target.services.echo)?;
    match server.reach {
        Reach::Tcp => client.reply().map(drop),
        Reach::I2p => client.expect_refusal().map(drop),
    }
}

fn expect_reached(server: &Server, host: &str) -> Result<()> {
    let port = server.target()?.services.echo;
    let mut client = request_on(server, CONNECT, &domain(host.as_bytes()), port)?;
    client.expect_success()?;
    client.expect_echo()
}

fn capitals(server: &Server) -> Result<()> {
    expect_reached(server, &server.target()?.host.to_ascii_uppercase())
}

fn trailing_dot(server: &Server) -> Result<()> {
    expect_reached(server, &format!("{}.", server.target()?.host))
}

fn empty_name(server: &Server) -> Result<()> {
    request_on(server, CONNECT, &domain(b""), 80)?.expect_refusal().map(drop)
}

fn longest_name(server: &Server) -> Result<()> {
    let target = server.target()?;
    let end = format!(".{}", target.host);
    let name = "a".repeat(255 - end.len()) + &end;
    request_on(server, CONNECT, &domain(name.as_bytes()), target.services.echo)?.expect_refusal().map(drop)
}

fn nul_in_name(server: &Server) -> Result<()> {
    let target = server.target()?;
    let name = format!("{}\0.example", target.host);
    request_on(server, CONNECT, &domain(name.as_bytes()), target.services.echo)?.expect_refusal().map(drop)
}

/// Names that would be more than a name in a protocol of lines.
fn injection(server: &Server) -> Result<()> {
    const MARKER: &str = "injected";
    let target = server.target()?;
    for between in [" X=", "\n", "\r\n", "\t", "=", "\"", "\x1b", "\x7f"] {
        let name = format!("{MARKER}{between}{}", target.host);
        let refused =
            request_on(server, CONNECT, &domain(name.as_bytes()), target.services.echo)?.expect_refusal();
        refused.with_context(|| format!("name with {between:?}"))?;
        let passed_on = (server.lines)().iter().any(|line| line.contains(MARKER));
        ensure!(!passed_on, "a name with {between:?} was passed on");
    }
    Ok(())
}
