//! The control connection of FTP.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use stream_filters::{Cut, Filter, Next, Output, Protocol};

use crate::session::{check_chunks, client, conversations, holds, run, sent, server};

const FTP: Protocol = Protocol::Ftp;

#[test]
fn a_file_is_fetched() {
    let outcome = run(
        FTP,
        &[
            server("220-hi\r\n234 x\r\n220 hi\r\n"),
            client("FEAT\r\n"),
            server("211-Features:\r\n EPRT\r\n CLNT\r\n UTF8\r\n211 End\r\n"),
            client("CLNT FileZilla\r\nUSER anonymous\r\nPASS mary@laptop\r\n"),
            server("500 no\r\n331 go\r\n230 in\r\n"),
            client("EPRT |1|192.0.2.1|5000|\r\nPORT 192,0,2,1,9,9\r\nPASV\r\nRETR a file\r\n"),
            server(
                "501 no\r\n501 no\r\n227 Entering Passive Mode (10,0,0,1,200,10)\r\n150 go\r\n226 done\r\n",
            ),
            client("EPSV\r\n\u{0}XFOO\r\n"),
            server("229 Entering Extended Passive Mode (|||5000|)\r\n500 no\r\n"),
            client("quit laptop\r\n"),
        ],
    );
    assert_eq!(
        outcome.server_text(),
        "FEAT\r\nCLNT\r\nUSER anonymous\r\nPASS anonymous@\r\nEPRT\r\nPORT\r\nPASV\r\nRETR a file\r\nEPSV\r\nREFUSED\r\nQUIT\r\n"
    );
    assert_eq!(
        outcome.client_text(),
        "220-hi\r\n234 x\r\n220 hi\r\n211-Features:\r\n UTF8\r\n211 End\r\n500 no\r\n331 go\r\n230 in\r\n501 no\r\n501 no\r\n\
         227 Entering Passive Mode (0,0,0,0,200,10).\r\n150 go\r\n226 done\r\n229 Entering Extended Passive Mode (|||5000|)\r\n\
         500 no\r\n"
    );
    assert_eq!(outcome.end, Ok(Next::Filter));
}

/// What a client gets for a reply of the server.
fn received(text: &str) -> String {
    let mut filter = Filter::new(FTP).with_passive_address(Ipv4Addr::new(240, 0, 0, 7));
    let mut output = Output::default();
    filter.server(text.as_bytes(), &mut output).unwrap();
    String::from_utf8(output.bytes).unwrap()
}

#[test]
fn the_client_gets_no_address_of_the_server() {
    const NO_PORT: &str = "502 The server has named no port.\r\n";
    let passive = "227 Entering Passive Mode (240,0,0,7,1,2).\r\n";
    let extended = "229 Entering Extended Passive Mode (|||258|)\r\n";
    for (said, becomes) in [
        ("227 =10,0,0,1,1,2", passive),
        ("227 (10,0,0,1,1)", NO_PORT),
        ("227 (10,0,0,1,1,256)", NO_PORT),
        ("227 (10,0,0,1,1,)", NO_PORT),
        ("227", NO_PORT),
        ("227-a\r\n 10,0,0,1,1,2\r\n227", passive),
        ("227-10,0,0,1,1,2\r\n227 10.0.0.1", passive),
        ("227-10.0.0.1\r\n10.0.0.1\r\n227-10.0.0.1\r\n227 10,0,0,1,1,2", passive),
        ("227-10.0.0.1\r\n227 10.0.0.1\r\n227 10,0,0,1,1,2", &[NO_PORT, passive].concat()),
        ("228 Entering Long Passive Mode (4,4,10,0,0,1,2,1,2)", NO_PORT),
        ("229 ok (|||258|)", extended),
        ("229 (!1!10.0.0.1!258!) see 10.0.0.1", extended),
        ("229 (|2|fe80::1|258|)", extended),
        ("229-10.0.0.1\r\n (|||258|)\r\n229 10.0.0.1", extended),
        ("229 (|||65536|)", NO_PORT),
        ("229 (|||+258|)", NO_PORT),
        ("229 (|||258)", NO_PORT),
        ("229 10.0.0.1 |||258|", NO_PORT),
        ("229 (258)", NO_PORT),
        ("229 (1112581)", NO_PORT),
        ("229", NO_PORT),
    ] {
        assert_eq!(received(&format!("{said}\r\n")), becomes, "{said}");
    }
    let events = |said| run(FTP, &[server(said)]).events.iter().map(ToString::to_string).collect::<String>();
    assert_eq!(events("229 (|||258|)\r\n"), "");
    assert_eq!(events("229 (|1||258|)\r\n"), "replaced: redirect to another server");
    assert_eq!(events("227-a\r\n227 1,2,3,4,5,6\r\n"), "replaced: redirect to another server");
    assert_eq!(events("229\r\n"), "removed: redirect to another server");
}

#[test]
fn times_have_no_zone() {
    for (said, passes) in [
        ("MDTM file", true),
        ("MDTM 20261130163624 file", true),
        ("MDTM 20261130163624.5 file", true),
        ("MDTM 20261130163624-1.tar", true),
        ("MDTM 20261130-1 file", true),
        ("MDTM 20261130163624+60 file", false),
        ("mdtm 20261130163624-0330 file", false),
        ("MFMT 20261130163624.500 file", true),
        ("MFMT 20261130163624.500+1 file", false),
        ("MFMT 20261130163624+01:00 file", false),
        ("MFMT 20261130163624Z file", false),
        ("MFMT file", false),
        ("MDTM 20261130163624+60;file", false),
        ("SITE chmod 644 file", true),
        ("SITE ZONE +60", false),
        ("SITE UTIME file 20261130163624 20261130163624 20261130163624 CET", false),
        ("SITE  CHMOD", false),
        ("SITE", false),
    ] {
        let verb = said.get(..4).unwrap().to_ascii_uppercase();
        let expected = if passes { [&verb, said.get(4..).unwrap()].concat() } else { verb };
        let outcome = run(FTP, &[client(&format!("{said}\r\n"))]);
        assert_eq!(outcome.server_text(), format!("{expected}\r\n"), "{said}");
        let event = if said.starts_with('S') { "removed: unknown command" } else { "removed: time zone" };
        let events: Vec<_> = outcome.events.iter().map(ToString::to_string).collect();
        assert_eq!(events.concat(), if passes { "" } else { event }, "{said}");
    }
}

#[test]
fn a_password_of_a_person_passes() {
    for (said, becomes) in [
        ("USER mary\r\nPASS a b \r\n", "USER mary\r\nPASS a b \r\n"),
        (
            "USER FTP\r\nPASS laptop\r\nUSER mary\r\nPASS x\r\n",
            "USER FTP\r\nPASS anonymous@\r\nUSER mary\r\nPASS x\r\n",
        ),
        ("AUTH GSSAPI\r\nAUTH\r\n", "AUTH\r\nAUTH\r\n"),
        ("STOR a\0b\r\nMACB laptop\r\n\r\n", "REFUSED\r\nREFUSED\r\nREFUSED\r\n"),
    ] {
        assert_eq!(sent(FTP, said), becomes);
    }
    let interrupt = (stream_filters::Side::Client, b"\xff\xf4\xff\xf2ABOR\r\n\xf2ABOR\r\n".to_vec());
    assert_eq!(run(FTP, &[interrupt]).server_text(), "ABOR\r\nABOR\r\n");
}

#[test]
fn auth_lets_go_once_the_server_agrees() {
    let outcome = run(
        FTP,
        &[server("220 hi\r\n"), client("AUTH TLS\r\n"), server("234 go\r\nraw\n"), client("laptop\n")],
    );
    assert_eq!(outcome.server_text(), "AUTH TLS\r\nlaptop\n");
    assert_eq!(
        (outcome.client_text().as_str(), outcome.end),
        ("220 hi\r\n234 go\r\nraw\n", Ok(Next::Release))
    );
    let outcome = run(
        FTP,
        &[server("220 hi\r\n"), client("AUTH TLS\r\n"), server("534 no\r\n"), client("CLNT laptop\r\n")],
    );
    assert_eq!((outcome.server_text().as_str(), outcome.end), ("AUTH TLS\r\nCLNT\r\n", Ok(Next::Filter)));
    for said in [
        "",
        "220 hi\r\n120 wait\r\n",
        "234 hi\r\n",
        "220-hi\r\n234 go\r\n",
        "220 hi\r\n234-go\r\n",
        "220 hi\r\n211-x\r\n234 go\r\n",
    ] {
        let outcome = run(FTP, &[client("AUTH TLS\r\n"), server(said), client("laptop")]);
        assert_eq!(
            (outcome.server_text().as_str(), outcome.end),
            ("AUTH TLS\r\n", Err(Cut::EarlyData)),
            "{said}"
        );
    }
    assert_eq!(run(FTP, &[client(&"NOOP\r\n".repeat(5000))]).end, Err(Cut::TooManyCommands { limit: 4096 }));
    let outcome = run(FTP, &[server("hello\r\n22 x\r\n220_x\r\n220\r\n")]);
    assert_eq!(outcome.client_text(), "220\r\n");
}

const PIECES: &[&str] = &[
    "220 hi\r\n",
    "234 go\r\n",
    "150 go\r\n",
    "211-a\r\n",
    " EPRT\r\n",
    "211 b\r\n",
    "227 (1,2,3,4,5,6)\r\n",
    "227-a\r\n",
    "229 (|1|::1|5|)\r\n",
    "MDTM 20261130163624+1 a\r\n",
    "USER ftp\r\n",
    "PASS a\r\n",
    "AUTH TLS\r\n",
    "PORT 1\r\n",
    "RETR a\r\n",
    "FOO\r\n",
];

proptest! {
    #[test]
    fn chunks_change_nothing(words in conversations(PIECES), sizes in prop::collection::vec(1_usize..40, 1..5)) {
        check_chunks(FTP, &words, &sizes)?;
    }

    #[test]
    fn what_a_rule_removes_does_not_go_out(
        verbs in prop::collection::vec(
            prop::sample::select(&[
                "PORT", "eprt", "LPRT", "CLNT", "LANG", "CSID", "FOO", "", "laptop", "\tUSER", "PASS", "PASV", "FEAT", "AUTH", "AUTH GSSAPI", "SITE", "SITE ZONE", "MDTM 20261130163624+1",
            ][..]),
            1..9,
        ),
    ) {
        let said: String = verbs.iter().map(|verb| format!("{verb} laptop\r\n")).collect();
        let got = sent(FTP, &format!("USER anonymous\r\n{said}"));
        prop_assert!(!holds(got.as_bytes(), "laptop"), "{}", got);
        prop_assert_eq!(got.lines().count(), verbs.len() + 1);
    }
}
