//! SIP, with descriptions of calls.

use proptest::prelude::*;
use stream_filters::{Cut, Next, Protocol};

use crate::session::{check_chunks, client, conversations, holds, run, sent, server};

const OFFER: &str = "v=0\r\no=tattler 1 2 IN IP4 192.0.2.7\r\ns=Linphone\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
    m=audio 7078 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=candidate:1 1 udp 1 192.0.2.7 7078 typ host\r\na=sendrecv\r\n";
const PASSED: &str = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
    m=audio 7078 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n";

fn invite(description: &str, via: &str, call: &str, contact: &str) -> String {
    format!(
        "INVITE sip:bob@call.i2p SIP/2.0\r\nVia: {via}\r\nFrom: <sip:anon@call.i2p>;tag=1\r\nTo: <sip:bob@call.i2p>\r\n\
         Call-ID: {call}\r\nCSeq: 1 INVITE\r\nContact: {contact}\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{description}",
        description.len()
    )
}

#[test]
fn a_call_is_made_and_tells_nothing_of_the_machine() {
    let own_via = "SIP/2.0/TCP 192.0.2.7:5060;branch=z9hG4bK7;rport";
    let own_call = "a84b@telltale-host";
    let agent = "User-Agent: Linphone\r\nCSeq: 1 INVITE";
    let said = invite(OFFER, own_via, own_call, "<sip:anon@192.0.2.7:5060>").replace("CSeq: 1 INVITE", agent);
    let answered = |via: &str, call: &str, description: &str| {
        format!(
            "SIP/2.0 200 OK\r\nVia: {via}\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{description}",
            description.len()
        )
    };
    let heard = answered(
        "SIP/2.0/TCP anonymous.invalid;branch=z9hG4bK7;rport=9;received=198.51.100.1",
        "a84b",
        OFFER,
    );
    let outcome = run(Protocol::Sip, &[client("\r\n\r\n"), client(&said), server(&heard)]);
    let via = "SIP/2.0/TCP anonymous.invalid;branch=z9hG4bK7;rport";
    let expected = invite(PASSED, via, "a84b", "<sip:anon@anonymous.invalid>");
    assert_eq!(outcome.server_text(), format!("\r\n\r\n{expected}"));
    assert_eq!(outcome.client_text(), answered(own_via, own_call, PASSED), "it gets its own back");
    assert_eq!(outcome.end, Ok(Next::Filter));
}

#[test]
fn answers_to_the_other_side_are_as_it_needs_them() {
    let asked = "INVITE sip:anon@anonymous.invalid SIP/2.0\r\nVia: SIP/2.0/TCP 198.51.100.9;branch=z9hG4bKb\r\n\
        From: <sip:bob@198.51.100.9>;tag=2\r\nCall-ID: b@198.51.100.9\r\nContent-Length: 0\r\n\r\n";
    let answer = "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/TCP 198.51.100.9;branch=z9hG4bKb\r\n\
        From: <sip:bob@198.51.100.9>;tag=2\r\nCall-ID: b@198.51.100.9\r\nContent-Length: 0\r\n\r\n";
    // The words can name the program.
    let without_words = answer.replace("Ringing", "");
    assert_eq!(run(Protocol::Sip, &[server(asked), client(answer)]).server_text(), without_words);
}

#[test]
fn words_of_a_person_pass_and_other_bodies_do_not() {
    let message = |kind: &str, body: &str| {
        format!(
            "MESSAGE sip:bob@call.i2p SIP/2.0\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let text = message("text/plain", "hello");
    assert_eq!(sent(Protocol::Sip, &text), text);
    assert_eq!(sent(Protocol::Sip, &message("application/x", "telltale")), message("application/x", ""));
    let two_types = "MESSAGE sip:b@call.i2p SIP/2.0\r\nContent-Type: text/plain\r\nc: application/sdp\r\nl: 12\r\n\r\ni=telltale\r\n";
    assert!(!holds(sent(Protocol::Sip, two_types).as_bytes(), "telltale"));
    let short = "MESSAGE sip:b@call.i2p SIP/2.0\r\nc: application/SDP;a=b\r\nl: 12\r\n\r\ni=telltale\r\n";
    assert!(!holds(sent(Protocol::Sip, short).as_bytes(), "telltale"));
}

#[test]
fn what_is_no_sip_ends_the_stream() {
    let start = "OPTIONS sip:a SIP/2.0\r\n";
    for (text, cut) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), Cut::NotSip),
        ("User-Agent: sip:telltale SIP/2.0\r\n\r\n".to_owned(), Cut::NotSip),
        ("SIP/2.0 telltale\r\n\r\n".to_owned(), Cut::NotSip),
        ("OPTIONS sip:a telltale SIP/2.0\r\n\r\n".to_owned(), Cut::NotSip),
        (format!("{start} folded\r\n\r\n"), Cut::NotSip),
        (format!("{start}no field\r\n\r\n"), Cut::NotSip),
        (format!("{start}a b: c\r\n\r\n"), Cut::NotSip),
        (format!("{start}a: b\u{1}\r\n\r\n"), Cut::NotSip),
        (format!("{start}a: b\n\n"), Cut::LineEnd),
        (format!("{start}l: 1\r\nContent-Length: 1\r\n\r\n"), Cut::AmbiguousLength),
        (format!("{start}l: x\r\n\r\n"), Cut::AmbiguousLength),
        (format!("{start}l: 99999999999999999999999\r\n\r\n"), Cut::AmbiguousLength),
        (format!("{start}l: 40000\r\n\r\n"), Cut::BodyTooLong { limit: 32 * 1024 }),
        (format!("{start}a: {}", "x".repeat(40_000)), Cut::HeadTooLong { limit: 32 * 1024 }),
    ] {
        assert_eq!(run(Protocol::Sip, &[client(&text)]).end, Err(cut), "{text:.60}");
    }
}

#[test]
fn fields_of_other_machines_and_of_nobody_do_not_pass() {
    let start = "OPTIONS sip:a@call.i2p SIP/2.0\r\n";
    for field in [
        "X-Telltale: 1",
        "Via: SIP/2.0/TCP telltale, SIP/2.0/TCP b;branch=1",
        "Via: SIP/2.0/TCP telltale",
        "Contact: sip:a@telltale;+sip.instance=\"telltale\"",
        "From: <sip:a@telltale.lan>",
    ] {
        let out = sent(Protocol::Sip, &format!("{start}{field}\r\n\r\n"));
        assert!(out.starts_with(start) && !holds(out.as_bytes(), "telltale"), "{out}");
    }
}

const PIECES: &[&str] = &[
    "OPTIONS sip:a@192.0.2.7 SIP/2.0\r\n",
    "SIP/2.0 200 OK\r\n",
    "Via: SIP/2.0/TCP 192.0.2.7;branch=1\r\n",
    "Call-ID: a@192.0.2.7\r\n",
    "Contact: <sip:a@192.0.2.7>\r\n",
    "c: application/sdp\r\n",
    "l: 24\r\n",
    "\r\n",
    "c=IN IP4 192.0.2.7\r\n",
    "a=b\r\n",
    " folded\r\n",
    "\r\n\r\n",
];

proptest! {
    #[test]
    fn any_split_into_chunks_gives_the_same(
        words in conversations(PIECES),
        sizes in prop::collection::vec(1..40_usize, 1..6),
    ) {
        check_chunks(Protocol::Sip, &words, &sizes)?;
    }
}
