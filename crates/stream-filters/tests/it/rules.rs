//! The rules as data: each does what its example says, and the README names it.

use std::collections::BTreeSet;

use stream_filters::{Cut, Event, Filter, ListedRule, Next, Output, Place, Protocol, Side, Subject};

use crate::session::{Outcome, Words, client, run, server};

const README: &str = include_str!("../../README.md");

/// The example of a rule with another of its names.
fn with_name(text: &str, rule: &ListedRule, name: &str) -> String {
    text.replacen(rule.rule.names[0], name, 1)
}

/// A conversation in which a line stands where such lines stand, and what stands around it in the output.
struct Frame {
    before: Vec<Words>,
    after: &'static str,
    output_before: &'static str,
    output_after: &'static str,
}

fn frame(protocol: Protocol, rule: &ListedRule) -> Frame {
    let plain = Frame { before: vec![], after: "\r\n", output_before: "", output_after: "" };
    match (protocol, rule.place) {
        (Protocol::Irc, Place::Command) if rule.rule.names == ["PONG"] && rule.from == Side::Client => {
            Frame { before: vec![server("PING :token\r\n")], ..plain }
        }
        (Protocol::Irc, Place::Capability) => Frame {
            before: vec![server(":irc.i2p CAP * LS :")],
            after: " sasl\r\n",
            output_before: ":irc.i2p CAP * LS :",
            output_after: "sasl\r\n",
        },
        (Protocol::Smtp, Place::Field) => Frame {
            before: vec![client("DATA\r\n"), server("220 hi\r\n354 go\r\n")],
            after: "\r\n\r\n.\r\n",
            output_before: "DATA\r\n",
            output_after: "\r\n.\r\n",
        },
        (Protocol::Smtp, Place::Capability) => Frame {
            before: vec![client("EHLO a\r\n"), server("220 hi\r\n250-hi\r\n250-")],
            after: "\r\n250 OK\r\n",
            output_before: "220 hi\r\n250-hi\r\n250-",
            output_after: "250 OK\r\n",
        },
        (Protocol::Pop3, Place::Capability) => Frame {
            before: vec![client("CAPA\r\n"), server("+OK hi\r\n+OK\r\n")],
            after: "\r\n.\r\n",
            output_before: "+OK hi\r\n+OK\r\n",
            output_after: ".\r\n",
        },
        (Protocol::Imap, Place::Capability) => Frame {
            before: vec![server("* CAPABILITY ")],
            after: " IMAP4rev1\r\n",
            output_before: "* CAPABILITY ",
            output_after: "IMAP4rev1\r\n",
        },
        (Protocol::Ftp, Place::Capability) => Frame {
            before: vec![server("211-Features:\r\n")],
            after: "\r\n211 End\r\n",
            output_before: "211-Features:\r\n",
            output_after: "211 End\r\n",
        },
        (Protocol::Http, _) => http_frame(rule),
        (Protocol::Sip, Place::Parameter) => sip_description_frame(rule),
        (Protocol::Sip, _) => Frame {
            before: vec![client("REGISTER sip:call.i2p SIP/2.0\r\n")],
            after: "\r\n\r\n",
            output_before: "REGISTER sip:call.i2p SIP/2.0\r\n",
            output_after: match rule.rule.names[0] {
                // It is written last.
                "Content-Length" => "\r\n",
                _ => "Content-Length: 0\r\n\r\n",
            },
        },
        (Protocol::Xmpp, _) => Frame { after: "", ..plain },
        _ => plain,
    }
}

fn sip_description_frame(rule: &ListedRule) -> Frame {
    let head = |body: &str| {
        let length = if body.is_empty() { 0 } else { body.len() + 2 };
        format!(
            "INVITE sip:b@call.i2p SIP/2.0\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let output_before = head(rule.rule.becomes).leak();
    Frame { before: vec![client(&head(rule.rule.example))], after: "\r\n", output_before, output_after: "" }
}

fn http_frame(rule: &ListedRule) -> Frame {
    const AGENT: &str = "User-Agent: MYOB/6.66 (AN/ON)\r\n\r\n";
    match (rule.from, rule.place, rule.rule.names[0]) {
        (Side::Server, ..) => Frame {
            before: vec![client("GET / HTTP/1.1\r\nHost: forum.i2p\r\n\r\n"), server("HTTP/1.1 200 OK\r\n")],
            after: "\r\n\r\n",
            output_before: "HTTP/1.1 200 OK\r\n",
            output_after: "\r\n",
        },
        (_, Place::Parameter, _) => Frame {
            before: vec![],
            after: "\r\nHost: forum.i2p\r\n\r\n",
            output_before: "",
            output_after: concat!("Host: forum.i2p\r\n", "User-Agent: MYOB/6.66 (AN/ON)\r\n\r\n"),
        },
        (_, _, "Host") => Frame {
            before: vec![client("GET / HTTP/1.1\r\n")],
            after: "\r\n\r\n",
            output_before: "GET / HTTP/1.1\r\n",
            output_after: AGENT,
        },
        (_, _, name) => Frame {
            before: vec![client("GET / HTTP/1.1\r\nHost: forum.i2p\r\n")],
            after: "\r\n\r\n",
            output_before: if name == "User-Agent" {
                "GET / HTTP/1.1\r\nHost: forum.i2p\r\n"
            } else {
                "GET / HTTP/1.1\r\nHost: forum.i2p\r\nUser-Agent: MYOB/6.66 (AN/ON)\r\n"
            },
            output_after: "\r\n",
        },
    }
}

/// What the filter does with the example of a rule, by another of its names.
fn outcome_of(protocol: Protocol, rule: &ListedRule, name: &str) -> Outcome {
    let Frame { before, after, output_before, output_after } = frame(protocol, rule);
    let mut words = before.clone();
    words.push((rule.from, (with_name(rule.rule.example, rule, name) + after).into_bytes()));
    let mut outcome = run(protocol, &words);
    outcome.events.drain(..run(protocol, &before).events.len());
    for got in [&mut outcome.to_server, &mut outcome.to_client] {
        let inner = got
            .strip_prefix(output_before.as_bytes())
            .and_then(|got| got.strip_suffix(output_after.as_bytes()));
        *got = inner.unwrap_or_default().to_vec();
    }
    outcome
}

#[test]
fn every_rule_does_what_its_example_says() {
    for (protocol, rule) in
        Protocol::ALL.iter().flat_map(|all| all.rules().into_iter().map(|rule| (*all, rule)))
    {
        for name in rule.rule.names {
            let mut expected = with_name(rule.rule.becomes, &rule, name);
            // Elements of XML need no end.
            if !expected.is_empty() && protocol != Protocol::Xmpp {
                expected += "\r\n";
            }
            let outcome = outcome_of(protocol, &rule, name);
            let got = if rule.from == Side::Client { outcome.server_text() } else { outcome.client_text() };
            assert_eq!(got, expected, "{name}");
            let passes = rule.rule.becomes == rule.rule.example;
            assert_eq!(
                outcome.events.is_empty() && outcome.end.is_ok(),
                passes,
                "{name}: {:?}",
                outcome.events
            );
        }
    }
}

#[test]
fn a_word_has_one_rule() {
    for protocol in Protocol::ALL {
        let mut seen = BTreeSet::new();
        for listed in protocol.rules() {
            assert!(!listed.rule.reason.is_empty());
            for name in listed.rule.names {
                let place = (format!("{:?} {:?}", listed.from, listed.place), name.to_ascii_lowercase());
                assert!(seen.insert(place), "{protocol:?}: {name}");
            }
        }
    }
}

/// What the filter reports of the example of a rule.
fn reported(protocol: Protocol, rule: &ListedRule) -> String {
    let Outcome { events, end, .. } = outcome_of(protocol, rule, rule.rule.names[0]);
    match end {
        Ok(_) => {
            let mut events: Vec<_> = events.iter().map(Event::to_string).collect();
            events.dedup();
            events.join("; ")
        }
        Err(_) => "cut".to_owned(),
    }
}

/// A table of the README: a row for each rule.
fn table(protocol: Protocol) -> String {
    let code = |text: &str| format!("`{}`", text.replace('\u{1}', "\\x01").replace("\r\n", "\\r\\n"));
    let rows = protocol.rules().into_iter().map(|ListedRule { from, place: of, rule }| {
        let place = format!("{from:?}, {of:?}").to_lowercase();
        let becomes = match rule.becomes {
            "" => "nothing".to_owned(),
            same if same == rule.example => "the same".to_owned(),
            other => code(other),
        };
        let names: Vec<_> = rule.names.iter().map(|name| code(name)).collect();
        let listed = ListedRule { from, place: of, rule };
        format!(
            "| {place} | {} | {} | {becomes} | {} | {} |\n",
            names.join(" "),
            code(rule.example),
            reported(protocol, &listed),
            rule.reason
        )
    });
    let head = "| from | word | for example | becomes | event | why |\n|---|---|---|---|---|---|\n";
    head.to_owned() + &rows.collect::<String>()
}

#[test]
fn the_readme_has_every_rule() {
    for protocol in Protocol::ALL {
        let name = protocol.as_str();
        let expected = format!("<!-- rules of {name} -->\n\n{}\n<!-- end -->", table(*protocol));
        assert!(README.contains(&expected), "README.md must have:\n{expected}");
    }
}

/// A table of the page for users: the rules that change something.
fn changes(protocol: Protocol) -> String {
    let code = |text: &str| format!("`{}`", text.replace('\u{1}', "\\x01").replace("\r\n", "\\r\\n"));
    let rows = protocol.rules().into_iter().filter(|listed| listed.rule.becomes != listed.rule.example);
    let rows = rows.map(|ListedRule { from, place: of, rule }| {
        let becomes = match (rule.becomes, reported(protocol, &ListedRule { from, place: of, rule }).as_str())
        {
            ("", "cut") => "the stream ends".to_owned(),
            ("", _) => "nothing".to_owned(),
            (other, _) => code(other),
        };
        let others =
            if rule.names.len() > 1 { format!(" and {} more", rule.names.len() - 1) } else { String::new() };
        let from = format!("{from:?}").to_lowercase();
        format!("| {from} | {}{others} | {becomes} | {} |\n", code(rule.example), rule.reason)
    });
    let head = "| from | for example | becomes | why |\n|---|---|---|---|\n";
    head.to_owned() + &rows.collect::<String>()
}

#[test]
fn the_page_for_users_has_every_rule_that_changes_something() {
    let page = include_str!("../../../../docs/filters.md");
    for protocol in Protocol::ALL {
        let name = protocol.as_str();
        let expected = format!("<!-- changes by {name} -->\n\n{}\n<!-- end -->", changes(*protocol));
        assert!(page.contains(&expected), "docs/filters.md must have:\n{expected}");
    }
}

#[test]
fn what_a_filter_says_holds_no_value() {
    let subjects: BTreeSet<_> = Subject::ALL.iter().map(|subject| subject.as_str()).collect();
    assert_eq!(subjects.len(), Subject::ALL.len(), "two subjects have the same words");
    let mut output = Output::default();
    Filter::new(Protocol::Irc).client(b"USER mary 0 * :Mary\r\nPASSWORD mary\r\n", &mut output).unwrap();
    let said: Vec<_> = output.events.iter().map(Event::to_string).collect();
    assert_eq!(said, ["replaced: user name", "removed: unknown command"]);
    assert_eq!(Cut::LineTooLong { limit: 9 }.to_string(), "a line is longer than 9 bytes");
}

#[test]
fn a_client_that_speaks_tls_is_cut() {
    for protocol in Protocol::ALL {
        let mut filter = Filter::new(*protocol);
        let mut output = Output::default();
        assert_eq!(filter.client(&[], &mut output), Ok(Next::Filter));
        for _ in 0..2 {
            assert_eq!(filter.client(&[0x16, 3, 1, 2, 0, 1], &mut output), Err(Cut::Tls), "{protocol:?}");
            assert_eq!(filter.server(b"hello\r\n", &mut output), Err(Cut::Tls), "{protocol:?}");
        }
        assert_eq!(output, Output::default());
    }
}

#[test]
fn a_cut_keeps_what_passed_before_it_and_ends_both_directions() {
    for protocol in Protocol::ALL {
        let mut filter = Filter::new(*protocol);
        let mut output = Output::default();
        let passing = match protocol {
            Protocol::Http => &b"GET / HTTP/1.1\r\nHost: forum.i2p\r\n\r\n"[..],
            Protocol::Xmpp => b"<presence/>\r\n",
            Protocol::Sip => b"OPTIONS sip:a@call.i2p SIP/2.0\r\nCSeq: 1 OPTIONS\r\n\r\n",
            _ => b"QUIT\r\na1 NOOP\r\n",
        };
        let said = [passing, &[b'x'; 70_000]].concat();
        let cut = filter.client(&said, &mut output).unwrap_err();
        let is_expected = matches!(cut, Cut::LineTooLong { .. } | Cut::HeadTooLong { .. } | Cut::Markup);
        assert!(is_expected, "{protocol:?}");
        let passed = output.clone();
        assert!(passed.bytes.ends_with(b"\r\n"), "{protocol:?}");
        assert_eq!(filter.client(b"\r\nQUIT\r\na1 NOOP\r\n", &mut output), Err(cut), "{protocol:?}");
        assert_eq!(filter.server(b"250 ok\r\n", &mut output), Err(cut), "{protocol:?}");
        assert_eq!(output, passed, "{protocol:?}");
    }
}
