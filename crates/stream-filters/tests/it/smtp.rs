//! Submission of mail.

use proptest::prelude::*;
use stream_filters::{Cut, Next, Protocol, Subject};

use crate::session::{Words, check_chunks, client, conversations, holds, run, sent, server};

const SMTP: Protocol = Protocol::Smtp;

/// What the server gets of a message, from its first header field on.
fn message(text: &str) -> String {
    let words = [client("DATA\r\n"), server("220 hi\r\n354 go\r\n"), client(text)];
    run(SMTP, &words).server_text().strip_prefix("DATA\r\n").unwrap().to_owned()
}

/// As msmtp and mutt send a message from the machine "laptop" of "mary".
#[test]
fn a_message_says_nothing_of_its_machine() {
    let outcome = run(
        SMTP,
        &[
            server("220 mail.i2p ESMTP\r\n"),
            client("EHLO laptop.example\r\n"),
            server(
                "250-mail.i2p\r\n250-PIPELINING\r\n250-XCLIENT ADDR\r\n250-AUTH PLAIN NTLM\r\n250 CHUNKING\r\n",
            ),
            client("AUTH PLAIN AGFub24AcHc=\r\n"),
            server("235 ok\r\n"),
            client(
                "MAIL FROM:<anon@mail.i2p> SIZE=500 ENVID=mary@laptop\r\nRCPT TO:<bob@mail.i2p>\r\nDATA\r\n",
            ),
            server("250 ok\r\n250 ok\r\n354 go\r\n"),
            client(
                "Received: by laptop.example (Postfix, from userid 1000)\r\n\tid ABC; Mon, 30 Nov 2026 16:36:24 +0100\r\n\
                 Date: Mon, 30 Nov 2026 16:36:24 +0100\r\nFrom: anon <anon@mail.i2p>\r\nTo: bob@mail.i2p,\r\n \
                 eve@mail.i2p\r\nSubject: hello\r\nMessage-ID:\r\n <20261130163624.4711@laptop.example>\r\n\
                 MIME-Version: 1.0\r\nContent-Type: text/plain\r\nUser-Agent: Mutt/2.2.13 on laptop\r\n\r\n\
                 Hello:\r\n..dots\r\n.\r\n",
            ),
            server("250 queued\r\n"),
            client("QUIT\r\n"),
            server("221 bye\r\n"),
        ],
    );
    assert_eq!(
        outcome.server_text(),
        "EHLO localhost\r\nAUTH PLAIN AGFub24AcHc=\r\nMAIL FROM:<anon@mail.i2p> SIZE=500\r\nRCPT TO:<bob@mail.i2p>\r\n\
         DATA\r\nDate: Mon, 30 Nov 2026 15:36:24 +0000\r\nFrom: anon <anon@mail.i2p>\r\nTo: bob@mail.i2p,\r\n \
         eve@mail.i2p\r\nSubject: hello\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nHello:\r\n..dots\r\n\
         .\r\nQUIT\r\n"
    );
    assert_eq!(
        outcome.client_text(),
        "220 mail.i2p ESMTP\r\n250-mail.i2p\r\n250-PIPELINING\r\n250-AUTH PLAIN\r\n250 OK\r\n235 ok\r\n\
         250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n221 bye\r\n"
    );
    assert_eq!(outcome.end, Ok(Next::Filter));
}

#[test]
fn a_command_that_does_not_pass_is_refused_by_the_server() {
    for (said, becomes) in [
        ("XFOO laptop", "REFUSED\r\n"),
        ("EHLO\tlaptop", "REFUSED\r\n"),
        ("ehlo [192.0.2.1]", "EHLO localhost\r\n"),
        ("XFORWARD NAME=laptop", "XFORWARD\r\n"),
        ("MAIL FROM:", "MAIL\r\n"),
        ("MAIL laptop", "MAIL\r\n"),
        ("MAIL TO:<a@b.i2p>", "MAIL\r\n"),
        ("mail from: <a@b.i2p> body=8BITMIME X=laptop", "MAIL FROM:<a@b.i2p> body=8BITMIME\r\n"),
        ("RCPT TO:<a@b.i2p> ORCPT=rfc822;laptop NOTIFY=NEVER", "RCPT TO:<a@b.i2p> NOTIFY=NEVER\r\n"),
        ("AUTH GSSAPI laptop", "AUTH\r\n"),
        ("AUTH gs2-krb5-plus YIIB", "AUTH\r\n"),
        ("AUTH XFOO YIIB", "AUTH\r\n"),
        ("AUTH", "AUTH\r\n"),
        ("AUTH scram-sha-256 YIIB", "AUTH scram-sha-256 YIIB\r\n"),
        ("AUTH PLAIN a b", "AUTH\r\n"),
        ("AUTH PLAIN \u{e4}", "AUTH PLAIN *\r\n"),
        ("QUIT laptop", "QUIT\r\n"),
        ("", "REFUSED\r\n"),
        ("VRFY a\0b", "REFUSED\r\n"),
    ] {
        assert_eq!(sent(SMTP, &format!("{said}\r\n")), becomes, "{said}");
    }
}

#[test]
fn starttls_lets_go_once_the_server_agrees() {
    let agreed = |text| vec![server("220 hi\r\n"), client("STARTTLS\r\n"), server(text)];
    let mut words = agreed("220 go\r\n");
    words.extend([client("\u{16}\u{3}\u{1} laptop"), server("\n\r raw"), client("EHLO laptop\n")]);
    let outcome = run(SMTP, &words);
    assert_eq!(outcome.server_text(), "STARTTLS\r\n\u{16}\u{3}\u{1} laptopEHLO laptop\n");
    assert_eq!(outcome.client_text(), "220 hi\r\n220 go\r\n\n\r raw");
    assert_eq!(outcome.end, Ok(Next::Release));
    let mut words = agreed("454 no\r\n");
    words.push(client("EHLO laptop\r\n"));
    let outcome = run(SMTP, &words);
    assert_eq!(
        (outcome.server_text().as_str(), outcome.end),
        ("STARTTLS\r\nEHLO localhost\r\n", Ok(Next::Filter))
    );
    // The greeting is also 220.
    let outcome = run(SMTP, &[client("STARTTLS\r\n"), server("220 hi\r\n"), client("x")]);
    assert_eq!((outcome.server_text().as_str(), outcome.end), ("STARTTLS\r\n", Err(Cut::EarlyData)));
}

#[test]
fn what_follows_a_command_before_its_answer_is_cut() {
    for command in ["DATA", "STARTTLS", "AUTH LOGIN"] {
        for end in ["\r\n", "\n"] {
            let outcome = run(SMTP, &[client(&format!("{command}{end}X-Mailer: laptop\r\n"))]);
            assert_eq!(outcome.end, Err(Cut::EarlyData), "{command}");
            assert_eq!(outcome.server_text(), format!("{command}\r\n"));
        }
    }
    assert_eq!(run(SMTP, &[client("BDAT 9 LAST\r\nlaptop")]).end, Err(Cut::Chunking));
    let outcome = run(SMTP, &[client(&"RSET\r\n".repeat(5000))]);
    assert_eq!(outcome.end, Err(Cut::TooManyCommands { limit: 4096 }));
}

#[test]
fn data_of_mechanisms_passes_line_by_line() {
    let outcome = run(
        SMTP,
        &[
            client("AUTH LOGIN\r\n"),
            server("220 hi\r\n334 VXNlcm5hbWU6\r\n"),
            client("YW5vbg==\r\n"),
            server("334 UGFzc3dvcmQ6\r\n"),
            client("cHc=\r\n"),
            server("235 ok\r\n"),
            client("AUTH CRAM-MD5\r\n"),
            server("334 PDE+\r\n"),
            client("EHLO laptop\r\n"),
            server("501 no\r\n"),
            client("YW5vbg==\r\n"),
        ],
    );
    assert_eq!(outcome.server_text(), "AUTH LOGIN\r\nYW5vbg==\r\ncHc=\r\nAUTH CRAM-MD5\r\n*\r\nREFUSED\r\n");
    assert_eq!(outcome.events.last().unwrap().subject, Subject::UnknownCommand);
}

#[test]
fn folded_fields_share_their_fate() {
    for (given, becomes) in [
        ("X-Foo: a\r\n laptop\r\n\tlaptop\r\nTo: b\r\n c\r\n\r\n", "To: b\r\n c\r\n\r\n"),
        (" laptop\r\nSubject: a\r\n\r\n", "Subject: a\r\n\r\n"),
        ("laptop\r\n folded\r\n\r\n", "\r\n"),
        ("Date : 30 Nov 2026\r\n 16:36 +0100\r\n\r\n", "Date: Mon, 30 Nov 2026 15:36:00 +0000\r\n\r\n"),
        ("Date: laptop\r\n\r\n", "\r\n"),
        (".X-Foo: laptop\r\n\r\n", "\r\n"),
        ("To\0: laptop\r\n\r\n", "\r\n"),
        (
            "References: <a@b.i2p>\r\n <b@laptop>\r\n <c@d.i2p> laptop <e@f.lan> <e@f.home.arpa> <e@f.fritz.box> <g@[192.0.2.1]> <h@192.0.2.1>\r\n\r\n",
            "References: <a@b.i2p> <c@d.i2p>\r\n\r\n",
        ),
        ("References: <b@laptop>\r\n\r\n", "\r\n"),
    ] {
        assert_eq!(message(given), becomes, "{given}");
    }
    let words = [client("DATA\r\n"), server("220 hi\r\n354 go\r\n"), client("In-Reply-To: laptop's\r\n\r\n")];
    let events = run(SMTP, &words).events;
    assert_eq!(events.iter().map(|event| event.subject).collect::<Vec<_>>(), [Subject::MessageId]);
    let long = format!("Date: {}\r\n\r\n", "x\r\n ".repeat(20_000));
    assert_eq!(message(&long), "\r\n");
    let ids = "<abcdefghij@mail.i2p>\r\n ".repeat(7);
    assert_eq!(message(&format!("References: {ids}\r\n\r\n")).matches("<abcdefghij@mail.i2p>").count(), 7);
}

#[test]
fn the_two_ends_see_the_same_end_of_a_message() {
    for end in ["\r\n.\r\n", "\n.\n", "\r\n.\n", "\n.\r\n", "\r.\r"] {
        let sent = message(&format!("To: a\r\n\r\nbody{end}EHLO laptop\r\n"));
        assert_eq!(sent, "To: a\r\n\r\nbody\r\n.\r\nEHLO localhost\r\n", "{end:?}");
        let sent = message(&format!("To: a{end}EHLO laptop\r\n"));
        assert_eq!(sent, "To: a\r\n.\r\nEHLO localhost\r\n", "{end:?}");
    }
    assert_eq!(message("\r\n.a\r\n..\r\n. \r\n\r\r\n.\r\n"), "\r\n.a\r\n..\r\n. \r\n\r\n\r\n.\r\n");
}

#[test]
fn replies_have_a_form() {
    let outcome = run(
        SMTP,
        &[
            client("EHLO a\r\nRSET\r\n"),
            server(
                "220 hi\r\n250 single\r\nhello\r\n250-CHUNKING is text here\r\n250 ok\r\n250\r\n25 no\r\n250_no\r\n",
            ),
        ],
    );
    assert_eq!(
        outcome.client_text(),
        "220 hi\r\n250 single\r\n250-CHUNKING is text here\r\n250 ok\r\n250 \r\n"
    );
    let outcome = run(
        SMTP,
        &[
            client("EHLO a\r\n"),
            server("220 hi\r\n250-hi\r\n250-AUTH=NTLM XFOO PLAIN SCRAM-SHA-1\r\n250 AUTH NTLM\r\n"),
        ],
    );
    assert_eq!(outcome.client_text(), "220 hi\r\n250-hi\r\n250-AUTH=PLAIN SCRAM-SHA-1\r\n250 AUTH\r\n");
    let outcome = run(SMTP, &[server(&"x".repeat(4097))]);
    assert_eq!(outcome.end, Err(Cut::LineTooLong { limit: 4096 }));
}

const PIECES: &[&str] = &[
    "220 hi\r\n",
    "250-hi\r\n250-CHUNKING\r\n250 XCLIENT\r\n",
    "354 go\r\n",
    "334 abc\r\n",
    "250 ok\r\n",
    "EHLO laptop\r\n",
    "DATA\r\n",
    "STARTTLS\r\n",
    "AUTH LOGIN\r\n",
    "MAIL FROM:<a@b.i2p> X=y\r\n",
    "X-Mailer: a\r\n b\r\n",
    "Date: 30 Nov 2026 16:36:24 +0100\r\n",
    "References: <a@b.i2p>\r\n <a@b>\r\n",
    "To: a\r\n",
    "\r\n",
    ".\r\n",
    "..",
];

/// A session with one message, in which `laptop` stands wherever a rule removes it.
fn sessions() -> impl Strategy<Value = Vec<Words>> {
    let secret =
        prop::sample::select(&["laptop", "x laptop y", "<1@laptop>", "[laptop]:laptop", "\tlaptop"][..]);
    let command = prop::sample::select(
        &[
            "EHLO {}",
            "HELO {}",
            "XCLIENT {}",
            "XFORWARD {}",
            "FOO {}",
            "{} FOO",
            "NOOP {}",
            "QUIT {}",
            "MAIL FROM:<a@b.i2p> X={}",
            "RCPT TO:<a@b.i2p> ORCPT={}",
            "MAIL {}",
            "AUTH NTLM {}",
            "AUTH GSSAPI {}",
            "AUTH gs2-krb5-plus {}",
            "AUTH XFOO {}",
        ][..],
    );
    let field = prop::sample::select(
        &[
            "Message-ID: {}",
            "Content-ID: {}",
            "User-Agent: {}",
            "X-Mailer:\r\n {}",
            "Received: {}\r\n\t{}",
            "Sender: {}",
            "X-{}: a",
            "{}",
            "In-Reply-To: {}",
            "References: <a@b.i2p>\r\n\t{}",
            "MIME-Version: 1.0 ({})",
            "Date: 30 Nov 2026 16:36:24 +0100 ({})",
            "Date: {}",
            "Message-ID : {}",
            ".To: {}",
        ][..],
    );
    let end = prop::sample::select(&["\r\n", "\n"][..]);
    let commands = prop::collection::vec((command, secret.clone()), 0..6);
    let fields = prop::collection::vec((field, secret, end), 0..8);
    (commands, fields).prop_map(|(commands, fields)| {
        let said: String =
            commands.iter().map(|(line, secret)| format!("{line}\r\n").replace("{}", secret)).collect();
        let answers = "250 ok\r\n".repeat(commands.len());
        let header: String =
            fields.iter().map(|(field, secret, end)| format!("{field}{end}").replace("{}", secret)).collect();
        vec![
            server("220 hi\r\n"),
            client(&said),
            server(&answers),
            client("DATA\r\n"),
            server("354 go\r\n"),
            client(&format!("{header}\r\nbody\r\n.\r\n")),
        ]
    })
}

proptest! {
    #[test]
    fn chunks_change_nothing(words in conversations(PIECES), sizes in prop::collection::vec(1_usize..40, 1..5)) {
        check_chunks(SMTP, &words, &sizes)?;
    }

    #[test]
    fn chunks_of_a_session_change_nothing(words in sessions(), sizes in prop::collection::vec(1_usize..40, 1..5)) {
        check_chunks(SMTP, &words, &sizes)?;
    }

    #[test]
    fn what_a_rule_removes_does_not_go_out(words in sessions()) {
        let outcome = run(SMTP, &words);
        prop_assert_eq!(outcome.end, Ok(Next::Filter));
        prop_assert!(!holds(&outcome.to_server, "laptop"), "{}", outcome.server_text());
        prop_assert!(outcome.server_text().ends_with("\r\n\r\nbody\r\n.\r\n") || outcome.server_text().ends_with("DATA\r\n\r\nbody\r\n.\r\n"));
    }
}
