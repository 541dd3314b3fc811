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

/// What one side says, in order. The client begins.
type Conversation = Vec<Vec<u8>>;

/// Runs the filter over a conversation in chunks of this size. Returns also what came out for what each side said.
fn run(protocol: Protocol, said: &Conversation, size: usize) -> (Outcome, Conversation) {
    let mut filter = Filter::new(protocol);
    let (mut to_server, mut to_client, mut events) = (vec![], vec![], vec![]);
    let (mut end, mut passed) = (Ok(Next::Filter), Conversation::new());
    for (turn, words) in said.iter().enumerate() {
        let mut output = Output::default();
        let is_client = turn % 2 == 0;
        for chunk in words.chunks(size) {
            end =
                if is_client { filter.client(chunk, &mut output) } else { filter.server(chunk, &mut output) };
            if end.is_err() {
                break;
            }
        }
        events.append(&mut output.events);
        (if is_client { &mut to_server } else { &mut to_client }).extend_from_slice(&output.bytes);
        passed.push(output.bytes);
        if end.is_err() {
            break;
        }
    }
    ((to_server, to_client, events, end), passed)
}

/// A field of a header, and its name.
const MAX_HELD_BYTES: usize = 2 * 16 * 1024;

/// Runs the filter over the whole, over single bytes, and over what the client's words have become: that passes as it is.
fn run_both(protocol: Protocol, input: &[u8]) -> Outcome {
    let said: Conversation = input.split(|&byte| byte == 0xff).map(<[u8]>::to_vec).collect();
    let (outcome, passed) = run(protocol, &said, usize::MAX);
    assert_eq!(outcome, run(protocol, &said, 1).0, "the result depends on the chunks");
    let again = passed.iter().zip(&said).enumerate();
    let again: Conversation =
        again.map(|(turn, (passed, said))| if turn % 2 == 0 { passed } else { said }.clone()).collect();
    // A field of a header can be held up to the line that ends it.
    let again = run(protocol, &again, usize::MAX).0.0;
    assert!(outcome.0.starts_with(&again), "a second pass changes more");
    assert!(outcome.0.len() - again.len() <= MAX_HELD_BYTES, "a second pass stops early");
    outcome
}

/// A conversation on IRC: chunks and a second pass change nothing, each line out is one of IRC, and the only message between programs is
/// an action.
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
}

/// A submission of mail: chunks and a second pass change nothing, and both ends see the same lines until the filter lets go.
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

/// Reading of mail with POP3: chunks and a second pass change nothing, and both ends see the same lines until the filter lets go.
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

/// Reading of mail with IMAP: chunks and a second pass change nothing, and what goes out is not longer than what came, but for the ends of
/// lines.
///
/// # Panics
/// If the property does not hold.
pub fn filter_imap(input: &[u8]) {
    let (to_server, to_client, _, _) = run_both(Protocol::Imap, input);
    // The longest word that the filter writes is REFUSED, in place of one letter.
    let lines = input.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
    assert!(to_server.len() + to_client.len() <= input.len() + 8 * lines, "longer than what came");
}

/// A control connection of FTP: chunks and a second pass change nothing, and both ends see the same lines until the filter lets go.
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

/// A stream of SIP: chunks and a second pass change nothing, and each message for the server is one of SIP.
///
/// # Panics
/// If the property does not hold.
pub fn filter_sip(input: &[u8]) {
    let (to_server, _, _, _) = run_both(Protocol::Sip, input);
    let mut rest = to_server.as_slice();
    while let Some(end) = rest.windows(4).position(|part| part == b"\r\n\r\n") {
        let (head, body) = rest.split_at(end + 4);
        let has_line = |text: &[u8], start: &[u8]| {
            text.split(|&byte| byte == b'\n').any(|line| line.to_ascii_lowercase().starts_with(start))
        };
        assert!(!has_line(head, b"user-agent:"), "a field that does not pass");
        let (body, next) = body.split_at(length_of_body(head).min(body.len()));
        // What people write passes as it is.
        let is_text = [&b"content-type: text/"[..], b"c: text/"].iter().any(|start| has_line(head, start));
        assert!(is_text || !has_line(body, b"a=candidate"), "an address that does not pass");
        rest = next;
    }
}

/// The length of the body of a message of SIP that the filter has written.
fn length_of_body(head: &[u8]) -> usize {
    let lines = head.split(|&byte| byte == b'\n').map(<[u8]>::to_ascii_lowercase);
    let mut fields = lines.filter_map(|line| {
        let value = line.strip_prefix(b"content-length:").or_else(|| line.strip_prefix(b"l:"))?;
        str::from_utf8(value).ok()?.trim().parse().ok()
    });
    fields.next_back().unwrap_or(0)
}

/// A stream of XMPP: chunks and a second pass change nothing, and until the filter lets go, the server gets no XML that XMPP forbids.
///
/// # Panics
/// If the property does not hold.
pub fn filter_xmpp(input: &[u8]) {
    let (to_server, _, _, end) = run_both(Protocol::Xmpp, input);
    if end != Ok(Next::Release) {
        let unquoted = without_values(&to_server);
        let holds = |text: &[u8]| unquoted.windows(text.len()).any(|part| part == text);
        assert!(!holds(b"<!"), "a comment, a document type or CDATA");
        assert!(!holds(b" xml:"), "an attribute with a prefix");
    }
}

/// XML without the values of attributes, and without the text between tags.
fn without_values(xml: &[u8]) -> Vec<u8> {
    let (mut is_in_tag, mut quote) = (false, None);
    let keep = |byte: &&u8| {
        let byte = **byte;
        match (is_in_tag, quote) {
            (false, _) => is_in_tag = byte == b'<',
            (true, None) if matches!(byte, b'\'' | b'"') => quote = Some(byte),
            (true, None) => is_in_tag = byte != b'>',
            (true, Some(end)) if byte == end => quote = None,
            (true, Some(_)) => {}
        }
        is_in_tag && quote.is_none()
    };
    xml.iter().filter(keep).copied().collect()
}

/// A connection of HTTP: chunks and a second pass change nothing, but for the page that a person comes from, whose path is not a URL any
/// more. If there are no bodies, each line for the server is one that the rules leave.
///
/// # Panics
/// If the property does not hold.
pub fn filter_http(input: &[u8]) {
    let said: Conversation = input.split(|&byte| byte == 0xff).map(<[u8]>::to_vec).collect();
    let (outcome, passed) = run(Protocol::Http, &said, usize::MAX);
    assert_eq!(outcome, run(Protocol::Http, &said, 1).0, "the result depends on the chunks");
    let (to_server, to_client, _, end) = outcome;
    let again = run(Protocol::Http, &passed, usize::MAX).0;
    for (bytes, again) in [(&to_server, &again.0), (&to_client, &again.1)] {
        let (bytes, again) = (without_referer(bytes), without_referer(again));
        assert!(bytes.starts_with(&again), "a second pass changes more");
        assert!(bytes.len() - again.len() <= MAX_HELD_BYTES, "a second pass stops early");
    }
    let said = said.into_iter().step_by(2).collect::<Vec<_>>().concat().to_ascii_lowercase();
    let holds = |word: &[u8]| said.windows(word.len()).any(|part| part == word);
    if end != Ok(Next::Release) && !holds(b"content-length") && !holds(b"transfer-encoding") {
        // The first line of each request begins with a method, which can have any name.
        let mut is_first = true;
        for line in to_server.split(|&byte| byte == b'\n') {
            if std::mem::replace(&mut is_first, line == b"\r") {
                continue;
            }
            let is_other = line.starts_with(b"User-Agent:") && line != b"User-Agent: MYOB/6.66 (AN/ON)\r";
            let is_left = [&b"From:"[..], b"Via:", b"Sec-Fetch-", b"Te:", b" "]
                .iter()
                .any(|name| line.starts_with(name));
            assert!(!is_other && !is_left, "a field that does not pass");
        }
    }
}

fn without_referer(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    lines.filter(|line| !line.starts_with(b"Referer: ")).collect::<Vec<_>>().concat()
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
