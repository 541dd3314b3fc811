use dns_answers::{Answer, MAX_ANSWER_BYTES, Query, Question};
use proptest::prelude::*;

use super::{A, AAAA, EDNS, IN, MX, PTR, labels, message, query};

const ADDRESS: Answer<'_> =
    Answer::Address { address: std::net::IpAddr::V4(std::net::Ipv4Addr::new(250, 1, 2, 3)), ttl_seconds: 60 };

fn answer(to: &[u8], answer: Answer<'_>) -> Vec<u8> {
    Query::parse(to).unwrap().answer(answer)
}

/// The header of an answer: flags and counts.
fn header(flags: u16, answers: u8, additional: u8) -> Vec<u8> {
    let [high, low] = flags.to_be_bytes();
    vec![0x12, 0x34, high, low, 0, 1, 0, answers, 0, 0, 0, additional]
}

#[test]
fn an_address_comes_with_the_question_as_it_was_asked() {
    let asked = query("FoRuM.i2p", A);
    let expected =
        [&header(0x8180, 1, 0), &asked[12..], b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xfa\x01\x02\x03"]
            .concat();
    assert_eq!(answer(&asked, ADDRESS), expected);
    let asked = query("a.i2p", AAAA);
    let v6 = Answer::Address { address: "fd00::1".parse().unwrap(), ttl_seconds: 0 };
    let data = b"\xc0\x0c\0\x1c\0\x01\0\0\0\0\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";
    assert_eq!(answer(&asked, v6), [&header(0x8180, 1, 0), &asked[12..], data].concat());
}

#[test]
fn edns_is_answered_with_edns_without_options() {
    let cookie = b"\0\0\x29\x10\0\0\0\x80\0\0\x0c\0\x0a\0\x08abcdefgh";
    for edns in [EDNS, cookie] {
        let answer = answer(&message(&labels("a.i2p"), A, IN, &[edns]), ADDRESS);
        assert_eq!(answer[..12], header(0x8180, 1, 1));
        assert!(answer.ends_with(b"\0\0\x29\x04\xd0\0\0\x80\0\0\0"), "1232 bytes, DNSSEC OK");
    }
}

#[test]
fn a_pointer_is_answered_with_a_name() {
    let asked = query("3.2.1.250.in-addr.arpa", PTR);
    let name = Answer::Name { name: "forum.i2p", ttl_seconds: 1 };
    let data = b"\xc0\x0c\0\x0c\0\x01\0\0\0\x01\0\x0b\x05forum\x03i2p\0";
    assert_eq!(answer(&asked, name), [&header(0x8180, 1, 0), &asked[12..], data].concat());
    let too_long = "a".repeat(64) + ".i2p";
    let name = Answer::Name { name: &too_long, ttl_seconds: 1 };
    assert_eq!(answer(&asked, name)[..12], header(0x8183, 0, 0));
}

#[test]
fn every_other_answer_is_a_code_with_the_question() {
    let v6 = Answer::Address { address: "fd00::1".parse().unwrap(), ttl_seconds: 0 };
    let name = Answer::Name { name: "a.i2p", ttl_seconds: 0 };
    for (kind, given, flags) in [
        (A, Answer::NoData, 0x8180),
        (A, Answer::NoSuchName, 0x8183),
        (A, Answer::Failure, 0x8182),
        (A, Answer::Refused, 0x8185),
        // Answers to another question.
        (A, v6, 0x8180),
        (AAAA, ADDRESS, 0x8180),
        (MX, ADDRESS, 0x8180),
        (A, name, 0x8180),
    ] {
        let asked = query("a.i2p", kind);
        assert_eq!(answer(&asked, given), [&header(flags, 0, 0), &asked[12..]].concat(), "{given:?}");
    }
}

#[test]
fn flags_of_the_query_are_repeated_where_the_rfcs_say_so() {
    let mut asked = query("a.i2p", A);
    // No recursion desired; checking disabled, authentic data and a bit without a meaning.
    (asked[2], asked[3]) = (0, 0x70);
    assert_eq!(answer(&asked, Answer::NoData)[2..4], [0x80, 0x90]);
}

#[test]
fn nothing_of_the_question_is_in_debug_output() {
    assert_eq!(format!("{:?}", Query::parse(&query("secret.i2p", A)).unwrap()), "Query(..)");
}

fn name() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 1..64), 0..6)
        .prop_filter("at most 255 bytes", |labels| labels.iter().map(|it| it.len() + 1).sum::<usize>() < 255)
}

proptest! {
    #[test]
    fn no_bytes_cause_a_panic_or_an_answer_that_is_worth_forging(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        match Query::parse(&bytes) {
            Ok(query) => check_size(&bytes, &query),
            Err(dns_answers::Rejected::Answered(answer)) => prop_assert!(!answer.is_empty() && answer.len() <= bytes.len()),
            Err(dns_answers::Rejected::Ignored) => {}
        }
    }

    #[test]
    fn every_name_is_answered(name in name(), kind in prop::sample::select(&[A, AAAA, PTR, MX][..]), edns: bool) {
        let labels: Vec<&[u8]> = name.iter().map(Vec::as_slice).collect();
        let additional: &[&[u8]] = if edns { &[EDNS] } else { &[] };
        let bytes = message(&labels, kind, IN, additional);
        let query = Query::parse(&bytes).unwrap();
        check_size(&bytes, &query);
        let has_dot = labels.iter().any(|label| label.contains(&b'.'));
        if let Question::Address { name, .. } = query.question() {
            prop_assert!(!has_dot && *name == labels.join(&b'.'));
        }
    }
}

fn check_size(bytes: &[u8], query: &Query) {
    let longest = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
    let v6 = Answer::Address { address: "fd00::1".parse().unwrap(), ttl_seconds: 60 };
    let name = Answer::Name { name: &longest, ttl_seconds: 60 };
    for (given, adds) in [(ADDRESS, 28), (v6, 28), (name, 267), (Answer::Failure, 0)] {
        let answer = query.answer(given);
        assert!(!answer.is_empty() && answer.len() <= MAX_ANSWER_BYTES.min(bytes.len() + adds), "{given:?}");
        assert_eq!(&answer[..2], &bytes[..2]);
    }
}
