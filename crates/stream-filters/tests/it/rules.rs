//! The rules as data: each does what its example says, and the README names it.

use std::collections::BTreeSet;

use stream_filters::{Cut, Event, Filter, ListedRule, Next, Output, Protocol, Side, Subject};

use crate::session::{Words, run};

const README: &str = include_str!("../../README.md");

/// The example of a rule with another of its names.
fn with_name(text: &str, rule: &ListedRule, name: &str) -> String {
    text.replacen(rule.rule.names[0], name, 1)
}

#[test]
fn every_rule_does_what_its_example_says() {
    for rule in Protocol::Irc.rules() {
        for name in rule.rule.names {
            let example = with_name(rule.rule.example, &rule, name);
            let mut expected = with_name(rule.rule.becomes, &rule, name).into_bytes();
            if !expected.is_empty() {
                expected.extend_from_slice(b"\r\n");
            }
            let words: Words = (rule.from, format!("{example}\r\n").into_bytes());
            let outcome = run(Protocol::Irc, &[words]);
            let got = if rule.from == Side::Client { outcome.to_server } else { outcome.to_client };
            assert_eq!(got, expected, "{example:?} became {:?}", String::from_utf8_lossy(&got));
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

/// A table of the README: a row for each rule.
fn table(protocol: Protocol) -> String {
    let code = |text: &str| format!("`{}`", text.replace('\u{1}', "\\x01"));
    let rows = protocol.rules().into_iter().map(|ListedRule { from, place, rule }| {
        let place = format!("{from:?}, {place:?}").to_lowercase();
        let becomes = match rule.becomes {
            "" => "nothing".to_owned(),
            same if same == rule.example => "the same".to_owned(),
            other => code(other),
        };
        let names: Vec<_> = rule.names.iter().map(|name| code(name)).collect();
        format!("| {place} | {} | {} | {becomes} | {} |\n", names.join(" "), code(rule.example), rule.reason)
    });
    let head = "| from | word | for example | becomes | why |\n|---|---|---|---|---|\n";
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
