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

#[test]
fn the_caller_sets_the_passive_address() {
    let mut filter = Filter::new(FTP).with_passive_address(Ipv4Addr::new(240, 0, 0, 7));
    let mut output = Output::default();
    filter.server(b"227 =10,0,0,1,1,2\r\n227 (10,0,0,1,1)\r\n227 (10,0,0,1,1,256)\r\n227-a\r\n 10,0,0,1,1,2\r\n227\r\n", &mut output).unwrap();
    assert_eq!(
        String::from_utf8(output.bytes).unwrap(),
        "227 Entering Passive Mode (240,0,0,7,1,2).\r\n502 The server has named no port.\r\n502 The server has named no port.\r\n\
         227-a\r\n 10,0,0,1,1,2\r\n502 The server has named no port.\r\n"
    );
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
                "PORT", "eprt", "LPRT", "CLNT", "LANG", "CSID", "FOO", "", "laptop", "\tUSER", "PASS", "PASV", "FEAT", "AUTH", "AUTH GSSAPI",
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
