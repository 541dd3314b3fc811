//! Filters of streams. In the input, the byte FF stands for "now the other side speaks"; the client begins.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::LazyLock,
};

use stream_filters::{
    Cut, Event, Filter, Next, Output, Protocol,
    http::announce,
    leak::{Leak, LeakGuard, LeakPatterns, Machine},
};

/// What came out: the bytes for the server, those for the client, the events, and how it ended.
type Outcome = (Vec<u8>, Vec<u8>, Vec<Event>, Result<Next, Cut>);

fn run(protocol: Protocol, input: &[u8], piece: usize) -> Outcome {
    let mut filter = Filter::new(protocol);
    let (mut to_server, mut to_client, mut events) = (Output::default(), Output::default(), vec![]);
    let mut end = Ok(Next::Filter);
    for (turn, words) in input.split(|&byte| byte == 0xff).enumerate() {
        for chunk in words.chunks(piece) {
            let is_client = turn % 2 == 0;
            let output = if is_client { &mut to_server } else { &mut to_client };
            end = if is_client { filter.client(chunk, output) } else { filter.server(chunk, output) };
            events.append(&mut output.events);
            if end.is_err() {
                return (to_server.bytes, to_client.bytes, events, end);
            }
        }
    }
    (to_server.bytes, to_client.bytes, events, end)
}

/// Runs the filter over the whole, and over single bytes.
fn run_both(protocol: Protocol, input: &[u8]) -> Outcome {
    let outcome = run(protocol, input, usize::MAX);
    assert_eq!(outcome, run(protocol, input, 1), "the result depends on the chunks");
    outcome
}

/// A conversation on IRC: chunks change nothing, each line out is one of IRC, and the only message between programs is an action.
///
/// # Panics
/// If the property does not hold.
pub fn filter_irc(input: &[u8]) {
    let (to_server, to_client, _, _) = run_both(Protocol::Irc, input);
    for bytes in [&to_server, &to_client] {
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r\n").unwrap_or_default();
            assert!(!line.is_empty(), "a line without its end, or without words");
            assert!(!line.iter().any(|byte| matches!(byte, 0 | 0x10 | b'\r')), "a reserved byte");
            if let Some(start) = line.iter().position(|&byte| byte == 1) {
                let name = line.get(start + 1..start + 7).unwrap_or_default();
                assert!(name.eq_ignore_ascii_case(b"ACTION"), "a message to a program");
            }
        }
    }
    let again = run(Protocol::Irc, &to_server, usize::MAX).0;
    assert_eq!(lines_without_pings(&to_server), lines_without_pings(&again), "a second pass changes more");
}

/// A submission of mail: chunks change nothing, and both ends see the same lines until the filter lets go.
///
/// # Panics
/// If the property does not hold.
pub fn filter_smtp(input: &[u8]) {
    let (to_server, to_client, _, end) = run_both(Protocol::Smtp, input);
    if end != Ok(Next::Release) {
        assert!(
            !holds_half_an_end(&to_server) && !holds_half_an_end(&to_client),
            "the ends can see other lines"
        );
    }
}

/// Whether there is a CR or an LF without the other.
fn holds_half_an_end(bytes: &[u8]) -> bool {
    let lines =
        bytes.split_inclusive(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r\n").unwrap_or(line));
    lines.into_iter().any(|line| line.iter().any(|byte| matches!(byte, b'\r' | b'\n')))
}

/// Reading of mail with POP3: chunks change nothing, and both ends see the same lines until the filter lets go.
///
/// # Panics
/// If the property does not hold.
pub fn filter_pop3(input: &[u8]) {
    let (to_server, to_client, _, end) = run_both(Protocol::Pop3, input);
    if end != Ok(Next::Release) {
        assert!(
            !holds_half_an_end(&to_server) && !holds_half_an_end(&to_client),
            "the ends can see other lines"
        );
    }
}

/// Reading of mail with IMAP: chunks change nothing, and what goes out is not longer than what came, but for the ends of lines.
///
/// # Panics
/// If the property does not hold.
pub fn filter_imap(input: &[u8]) {
    let (to_server, to_client, _, _) = run_both(Protocol::Imap, input);
    // The longest word that the filter writes is REFUSED, in place of one letter.
    let lines = input.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
    assert!(to_server.len() + to_client.len() <= input.len() + 8 * lines, "longer than what came");
}

/// A control connection of FTP: chunks change nothing, and both ends see the same lines until the filter lets go.
///
/// # Panics
/// If the property does not hold.
pub fn filter_ftp(input: &[u8]) {
    let (to_server, to_client, _, end) = run_both(Protocol::Ftp, input);
    if end != Ok(Next::Release) {
        assert!(
            !holds_half_an_end(&to_server) && !holds_half_an_end(&to_client),
            "the ends can see other lines"
        );
        for line in to_server.split(|&byte| byte == b'\n') {
            assert!(!line.starts_with(b"PORT ") && !line.starts_with(b"EPRT "), "an address");
        }
    }
}

/// Any bytes: the guard finds the same however they are split, and it finds a word that stands alone behind them.
///
/// # Panics
/// If the property does not hold.
pub fn leak_guard(input: &[u8]) {
    static PATTERNS: LazyLock<Option<LeakPatterns>> = LazyLock::new(|| {
        let machine = Machine {
            addresses: &[IpAddr::V4(Ipv4Addr::new(192, 0, 2, 35))],
            host_names: &["host"],
            logins: &["login"],
            ..Machine::default()
        };
        LeakPatterns::new(&machine).ok()
    });
    let Some(patterns) = PATTERNS.as_ref() else { return };
    let find = |size: usize| -> (Vec<Leak>, bool) {
        let mut guard = LeakGuard::new(patterns);
        let looks: Vec<_> = input.chunks(size).map(|chunk| guard.look(chunk)).collect();
        let is_open = looks.iter().all(|(_, next)| *next == Next::Filter);
        let later = if is_open { guard.look(b" host ").0 } else { Vec::new() };
        let leaks = looks.into_iter().flat_map(|(leaks, _)| leaks).chain(later).chain(guard.end());
        (leaks.collect(), is_open)
    };
    let (leaks, is_open) = find(usize::MAX);
    assert_eq!((leaks.clone(), is_open), find(1), "the result depends on the chunks");
    assert!(
        !is_open || input.len() + 6 > LeakGuard::BYTES || leaks.contains(&Leak::HostName),
        "a word was missed"
    );
}

/// The target of a request: what is left of an announce is one, and holds no address that a second pass would find.
///
/// # Panics
/// If the property does not hold.
pub fn tracker_announce(input: &[u8]) {
    let Ok(target) = std::str::from_utf8(input) else { return };
    let Some(parts) = announce(target) else { return };
    let left: String = parts.collect();
    assert!(left.len() <= target.len(), "longer than what came");
    assert_eq!(announce(&left).map(Iterator::collect), Some(left), "a second pass changes more");
}

/// The number of a ping may change, and an answer to a ping passes only behind the ping.
fn lines_without_pings(bytes: &[u8]) -> Vec<&[u8]> {
    let is_ping = |line: &[u8]| line.windows(5).any(|part| matches!(part, b"PING " | b"PONG "));
    bytes.split(|&byte| byte == b'\n').filter(|line| !is_ping(line)).collect()
}
