//! Reading of mail with POP3.

use proptest::prelude::*;
use stream_filters::{Cut, Next, Protocol};

use crate::session::{check_chunks, client, conversations, holds, run, sent, server};

const POP3: Protocol = Protocol::Pop3;

#[test]
fn a_mailbox_is_read() {
    let outcome = run(
        POP3,
        &[
            server("+OK hi <1@mail.i2p>\r\n"),
            client("CAPA laptop\r\n"),
            server("+OK\r\nTOP\r\nLANG\r\nSASL NTLM PLAIN XFOO LOGIN\r\n.\r\n"),
            client("user anon\r\nPASS a  b \r\nLIST\r\nRETR 1\r\nLIST 1\r\n"),
            server("+OK\r\n+OK\r\n+OK\r\n1 10\r\n.\r\n+OK\r\nA: b\n-ERR\r\n+ \r\n..\r\n.\r\n+OK 1 10\r\n"),
            client("XFOO laptop\r\nLANG de\r\nDELE 1\r\nQUIT\r\n"),
            server("-ERR\r\n-ERR\r\n+OK\r\n+OK bye\r\n"),
        ],
    );
    assert_eq!(
        outcome.server_text(),
        "CAPA\r\nUSER anon\r\nPASS a  b \r\nLIST\r\nRETR 1\r\nLIST 1\r\nREFUSED\r\nREFUSED\r\nDELE 1\r\nQUIT\r\n"
    );
    assert_eq!(
        outcome.client_text(),
        "+OK hi <1@mail.i2p>\r\n+OK\r\nTOP\r\nSASL PLAIN LOGIN\r\n.\r\n+OK\r\n+OK\r\n+OK\r\n1 10\r\n.\r\n\
         +OK\r\nA: b\r\n-ERR\r\n+ \r\n..\r\n.\r\n+OK 1 10\r\n-ERR\r\n-ERR\r\n+OK\r\n+OK bye\r\n"
    );
}

#[test]
fn stls_lets_go_once_the_server_agrees() {
    let outcome =
        run(POP3, &[server("+OK hi\r\n"), client("STLS\r\n"), server("+OK\r\nraw\n"), client("laptop\n")]);
    assert_eq!(outcome.server_text(), "STLS\r\nlaptop\n");
    assert_eq!((outcome.client_text().as_str(), outcome.end), ("+OK hi\r\n+OK\r\nraw\n", Ok(Next::Release)));
    let outcome =
        run(POP3, &[server("+OK hi\r\n"), client("STLS\r\n"), server("-ERR\r\n"), client("FOO laptop\r\n")]);
    assert_eq!((outcome.server_text().as_str(), outcome.end), ("STLS\r\nREFUSED\r\n", Ok(Next::Filter)));
    // With a number, the answer to LIST is a line.
    let words = [server("+OK hi\r\n"), client("LIST 1\r\nSTLS\r\n"), server("+OK 1 10\r\n+OK\r\n")];
    assert_eq!(run(POP3, &words).end, Ok(Next::Release));
    // A line of a message is no answer.
    let words = [
        server("+OK hi\r\n"),
        client("RETR 1\r\nSTLS\r\n"),
        server("+OK\r\n+OK\r\n"),
        client("FOO laptop\r\n"),
    ];
    assert_eq!(run(POP3, &words).end, Err(Cut::EarlyData));
}

#[test]
fn data_of_mechanisms_passes_line_by_line() {
    let outcome = run(
        POP3,
        &[
            server("+OK hi\r\n+ a\r\n"),
            client("AUTH PLAIN\r\n"),
            server("+ \r\n"),
            client("AGFub24AcHc=\r\n"),
            server("-ERR\r\n"),
            client("AUTH CRAM-MD5\r\n"),
            server("+ PDE+\r\n"),
            client("FOO laptop\r\n"),
            server("-ERR\r\n"),
            client("AUTH GSSAPI laptop\r\nAUTH\r\nVRFY\0\r\n"),
        ],
    );
    assert_eq!(
        outcome.server_text(),
        "AUTH PLAIN\r\nAGFub24AcHc=\r\nAUTH CRAM-MD5\r\n*\r\nREFUSED\r\nREFUSED\r\nREFUSED\r\n"
    );
    assert_eq!(outcome.client_text(), "+OK hi\r\n+ \r\n-ERR\r\n+ PDE+\r\n-ERR\r\n");
    assert_eq!(run(POP3, &[client("AUTH PLAIN\r\nlaptop\r\n")]).end, Err(Cut::EarlyData));
    assert_eq!(run(POP3, &[client(&"NOOP\r\n".repeat(5000))]).end, Err(Cut::TooManyCommands { limit: 4096 }));
}

const PIECES: &[&str] = &[
    "+OK\r\n",
    "-ERR\r\n",
    "+ a\r\n",
    "TOP\r\n",
    ".\r\n",
    "CAPA\r\n",
    "RETR 1\r\n",
    "LIST\r\n",
    "AUTH PLAIN\r\n",
    "STLS\r\n",
    "SASL NTLM\r\n",
    "FOO a\r\n",
    "a: b\r\n",
];

proptest! {
    #[test]
    fn chunks_change_nothing(words in conversations(PIECES), sizes in prop::collection::vec(1_usize..40, 1..5)) {
        check_chunks(POP3, &words, &sizes)?;
    }

    #[test]
    fn what_a_rule_removes_does_not_go_out(
        verbs in prop::collection::vec(
            prop::sample::select(&["FOO", "LANG", "AUTH NTLM", "AUTH GSSAPI", "AUTH gs2-krb5-plus", "AUTH XFOO", "CAPA", "XTND", "laptop", "\tUSER", ""][..]),
            1..9,
        ),
    ) {
        let said: String = verbs.iter().map(|verb| format!("{verb} laptop\r\n")).collect();
        let got = sent(POP3, &said);
        prop_assert!(!holds(got.as_bytes(), "laptop"), "{}", got);
        prop_assert_eq!(got.lines().count(), verbs.len());
    }
}
