//! Reading of mail with IMAP.

use proptest::prelude::*;
use stream_filters::{Cut, Next, Protocol, Subject};

use crate::session::{check_chunks, client, conversations, holds, run, sent, server};

const IMAP: Protocol = Protocol::Imap;

#[test]
fn a_mailbox_is_read() {
    let outcome = run(
        IMAP,
        &[
            server(
                "* OK [CAPABILITY IMAP4rev1 LITERAL+ REPLACE COMPRESS=DEFLATE AUTH=NTLM AUTH=XFOO auth=plain ID] hi {9}\r\n",
            ),
            client("a1 ID (\"name\" \"Thunderbird\" \"version\" \"140\")\r\n"),
            server("* ID NIL\r\na1 OK done\r\n"),
            client("a2 LOGIN {4}\r\n"),
            server("+ go\r\n"),
            client("anon {2}\r\n"),
            server("+ go\r\n"),
            client("pw\r\n"),
            server("a2 OK [CAPABILITY IMAP4rev1 compress=deflate] in\r\n"),
            client("a3 SELECT INBOX\r\na4 UID FETCH 1:* (FLAGS)\r\n"),
            server(
                "* 1 EXISTS\r\na3 OK\r\n* 1 FETCH (BODY[] {20}\r\na5 OK\r\n+ go\r\n* OK\r\n UID 1)\r\na4 OK\r\n",
            ),
            client("a5 IDLE\r\n"),
            server("+ idling\r\n* 2 EXISTS\r\n"),
            client("DONE\r\n"),
            server("a5 OK\r\n"),
            client("a6 COMPRESS DEFLATE\r\na7 LOGOUT\r\n"),
            server("a6 BAD\r\n* BYE\r\na7 OK\r\n"),
        ],
    );
    assert_eq!(
        outcome.server_text(),
        "a1 ID NIL\r\na2 LOGIN {4}\r\nanon {2}\r\npw\r\na3 SELECT INBOX\r\na4 UID FETCH 1:* (FLAGS)\r\na5 IDLE\r\nDONE\r\n\
         a6 REFUSED\r\na7 LOGOUT\r\n"
    );
    assert_eq!(
        outcome.client_text(),
        "* OK [CAPABILITY IMAP4rev1 LITERAL+ auth=plain ID] hi {9}\r\n* ID NIL\r\na1 OK done\r\n+ go\r\n+ go\r\n\
         a2 OK [CAPABILITY IMAP4rev1] in\r\n* 1 EXISTS\r\na3 OK\r\n* 1 FETCH (BODY[] {20}\r\na5 OK\r\n+ go\r\n* OK\r\n UID 1)\r\n\
         a4 OK\r\n+ idling\r\n* 2 EXISTS\r\na5 OK\r\na6 BAD\r\n* BYE\r\na7 OK\r\n"
    );
    assert_eq!(outcome.end, Ok(Next::Filter));
}

#[test]
fn a_stored_message_keeps_its_length() {
    let header = "Date: Mon, 30 Nov 2026 16:36:24 +0100 (CET)\r\nFrom: anon@mail.i2p\r\nTo: bob@mail.i2p,\r\n eve@mail.i2p\r\n\
                  Message-ID:\r\n <1@laptop>\r\nReferences: <1@mail.i2p> laptop\r\n\t<2@laptop>\r\nMIME-Version: 1.0 (laptop)\r\n\
                  Resent-Date: 30 Nov 2026 16:36 +0100\r\nX-laptop\r\nX-Mailer: laptop\n\r\n";
    let body = "X-Mailer: as written\r\n.\r\n";
    let message = format!("{header}{body}");
    let expected = "Date: Mon, 30 Nov 2026 15:36:24 +0000      \r\nFrom: anon@mail.i2p\r\nTo: bob@mail.i2p,\r\n eve@mail.i2p\r\n\
                    xxxxxxxxxx:\r\n xxxxxxxxxx\r\nReferences: <1@mail.i2p> xxxxxx\r\n\t<xxxxxxxx>\r\nMIME-Version: 1.0         \r\n\
                    xxxxxxxxxxx:xxxxxxxxxxxxxxxxxxxxxxxx\r\nxxxxxxxx\r\nxxxxxxxx:xxxxxxx\n\r\n";
    let length = message.len();
    let outcome = run(
        IMAP,
        &[
            client("a1 APPEND {4}\r\n"),
            server("+ go\r\n"),
            client(&format!("Sent (\\Seen) \" 1-Dec-2026 00:30:00 +0100\" {{{length}}}\r\n")),
            server("+ go\r\n"),
            client(&format!("{message} ~{{{length}+}}\r\n{message}\r\na2 NOOP\r\n")),
        ],
    );
    assert_eq!(
        outcome.server_text(),
        format!(
            "a1 APPEND {{4}}\r\nSent (\\Seen) \"30-Nov-2026 23:30:00 +0000\" {{{length}}}\r\n{expected}{body} ~{{{length}+}}\r\n\
             {expected}{body}\r\na2 NOOP\r\n"
        )
    );
    let events =
        run(IMAP, &[client("a1 APPEND a {11+}\r\nReferences:\r\na2 APPEND a {15+}\r\nReferences: a b\r\n")])
            .events;
    assert_eq!(events.iter().map(|event| event.subject).collect::<Vec<_>>(), [Subject::MessageId]);
    // The next command has no message.
    let raw = "a1 APPEND a {3+}\r\nabc\r\na2 SEARCH BODY {9+}\r\nX: laptop BODY {9+}\r\nX: laptop\r\n";
    assert_eq!(sent(IMAP, raw), raw.replace("abc", "xxx"));
    let long = format!("X: {}\r\n\r\nlaptop", "y".repeat(40_000));
    let sent = sent(IMAP, &format!("a1 APPEND a {{{}+}}\r\n{long}\r\n", long.len()));
    assert_eq!((sent.matches('y').count(), sent.len()), (0, long.len() + 22 + 2));
}

#[test]
fn a_line_of_append_has_a_form() {
    for (said, (becomes, event)) in [
        ("Sent {2}", ("Sent {2}", "")),
        ("\"my \\\"30-Nov\" {2}", ("\"my \\\"30-Nov\" {2}", "")),
        // The name of the mailbox is no date.
        ("\"30-Nov-2026 16:36:24 +0100\" {2}", ("\"30-Nov-2026 16:36:24 +0100\" {2}", "")),
        ("Sent  (\\Seen $x )  ~{2}", ("Sent (\\Seen $x ) ~{2}", "")),
        (
            "Sent () \"30-Nov-2026 16:36:24 +0100\" {2}",
            ("Sent () \"30-Nov-2026 15:36:24 +0000\" {2}", "replaced: time zone"),
        ),
        // What is no date is left out.
        ("Sent \"30-Nov-2026 16:36:24 CET\" {2}", ("Sent {2}", "removed: time zone")),
        ("Sent \"Mon, 30 Nov 2026 16:36:24 +0100 (CET)\" {2}", ("Sent {2}", "removed: time zone")),
        ("Sent \"30-Nov-2026 16:36:24 +0199\" {2}", ("Sent {2}", "removed: time zone")),
        ("Sent (\\Seen) \"\" {2}", ("Sent (\\Seen) {2}", "removed: time zone")),
        ("Sent \"laptop\" utf8 (~{2}", ("Sent UTF8 (~{2}", "removed: time zone")),
        // The filter knows no other forms.
        ("Sent +0100 {2}", ("", "")),
        ("Sent \"a\\\" b\" {2}", ("", "")),
        ("Sent \"30-Nov-2026 16:36:24 +0100\" \"30-Nov-2026 16:36:24 +0100\" {2}", ("", "")),
        ("Sent \"30-Nov-2026 16:36:24 +0100\" (\\Seen) {2}", ("", "")),
        ("Sent \"30-Nov-2026 16:36:24 +0100\"{2}", ("", "")),
        ("Sent (+0100 {2}", ("", "")),
        ("Sent CATENATE (TEXT {2}", ("", "")),
        ("\"Sent {2}", ("", "")),
        ("Sent{2}", ("", "")),
        ("(a) {2}", ("", "")),
        ("{1} {2}", ("", "")),
    ] {
        let outcome = run(IMAP, &[client(&format!("a1 APPEND {said}\r\n"))]);
        let is_line = !becomes.is_empty();
        let expected = if is_line { format!("a1 APPEND {becomes}\r\n") } else { String::new() };
        assert_eq!(outcome.server_text(), expected, "{said}");
        assert_eq!(outcome.end.is_ok(), is_line, "{said}");
        let events: Vec<_> = outcome.events.iter().map(ToString::to_string).collect();
        assert_eq!(events.concat(), event, "{said}");
    }
    // What announces no literal is refused.
    for said in ["", " ", "Sent", "Sent \"30-Nov-2026 16:36:24 +0100\"", "Sent (laptop)", "Sent {+}"] {
        let outcome = run(IMAP, &[client(&format!("a1 APPEND {said}\r\na2 NOOP\r\n"))]);
        assert_eq!(outcome.server_text(), "a1 REFUSED\r\na2 NOOP\r\n", "{said}");
        assert_eq!(outcome.events.len(), 1, "{said}");
    }
    for (rest, becomes) in [
        ("", ""),
        (" laptop", " REFUSED"),
        (")", " REFUSED"),
        (" \"30-Nov-2026 16:36:24 +0100\"", " REFUSED"),
    ] {
        let said = format!("a1 APPEND a {{3+}}\r\nabc{rest}\r\na2 NOOP\r\n");
        assert_eq!(sent(IMAP, &said), format!("a1 APPEND a {{3+}}\r\nxxx{becomes}\r\na2 NOOP\r\n"), "{rest}");
    }
    let said = "a1 APPEND a UTF8 (~{3+}\r\nabc) (\\Seen) \"x\" {3+}\r\nabc\r\n";
    assert_eq!(sent(IMAP, said), said.replace("abc", "xxx").replace(" \"x\"", ""));
    // A literal that the server does not want leaves nothing behind.
    let words = [
        client("a1 APPEND Sent {9}\r\n"),
        server("a1 NO [OVERQUOTA] full\r\n"),
        client("a2 SEARCH TEXT {5}\r\n"),
        server("+ go on\r\n"),
        client("hello UNSEEN\r\n"),
    ];
    let expected = "a1 APPEND Sent {9}\r\na2 SEARCH TEXT {5}\r\nhello UNSEEN\r\n";
    assert_eq!(run(IMAP, &words).server_text(), expected);
    for end in ["", " laptop {3+}"] {
        let outcome = run(IMAP, &[client(&format!("a1 APPEND a UTF8 (~{{3+}}\r\nabc{end}\r\n"))]);
        assert_eq!(outcome.end, if end.is_empty() { Ok(Next::Filter) } else { Err(Cut::Literal) });
        assert_eq!(outcome.server_text().ends_with("xxx REFUSED\r\n"), end.is_empty());
    }
}

#[test]
fn uid_passes_with_known_words() {
    for (said, becomes) in [
        ("a1 uid fetch 1:* (FLAGS)", "a1 UID fetch 1:* (FLAGS)"),
        ("a1 UID REPLACE 4 Sent \"laptop\"", "a1 REFUSED"),
        ("a1 UID", "a1 REFUSED"),
        ("a1 UID  FETCH laptop", "a1 REFUSED"),
        ("a1 REPLACE 4 Sent \"laptop\"", "a1 REFUSED"),
    ] {
        assert_eq!(sent(IMAP, &format!("{said}\r\n")), format!("{becomes}\r\n"));
    }
    let outcome = run(IMAP, &[client("a1 UID REPLACE 4 Sent {6+}\r\nlaptop\r\n")]);
    assert_eq!((outcome.server_text().as_str(), outcome.end), ("", Err(Cut::Literal)));
}

#[test]
fn starttls_lets_go_once_the_server_agrees() {
    let words =
        [client("a1 STARTTLS\r\n"), server("* OK x\r\na2 OK\r\na1 OK go\r\nraw\n"), client("laptop\n")];
    let outcome = run(IMAP, &words);
    assert_eq!(outcome.server_text(), "a1 STARTTLS\r\nlaptop\n");
    assert_eq!(
        (outcome.client_text().as_str(), outcome.end),
        ("* OK x\r\na2 OK\r\na1 OK go\r\nraw\n", Ok(Next::Release))
    );
    let outcome =
        run(IMAP, &[client("a1 STARTTLS\r\n"), server("a1 NO\r\n"), client("a2 ID (\"laptop\")\r\n")]);
    assert_eq!(
        (outcome.server_text().as_str(), outcome.end),
        ("a1 STARTTLS\r\na2 ID NIL\r\n", Ok(Next::Filter))
    );
    // Neither a literal nor the text of another answer is an answer.
    for said in [
        "* 1 FETCH ({9}\r\na1 OK\r\n  )\r\n",
        "* 1 FETCH ({0}\r\na1 OK x\r\n",
        "a2 OK\r\n",
        "* OK a1 OK\r\n",
        "* OK x\ra1 OK\r\n",
        "+ go\r\n",
        "a1 OKAY\r\n",
    ] {
        let outcome = run(IMAP, &[client("a1 STARTTLS\r\n"), server(said), client("laptop")]);
        assert_eq!(
            (outcome.server_text().as_str(), outcome.end),
            ("a1 STARTTLS\r\n", Err(Cut::EarlyData)),
            "{said}"
        );
    }
}

#[test]
fn a_literal_waits_for_the_server() {
    for (answer, becomes) in [("+ go\r\n", "a2 ID (\"laptop\")"), ("a1 NO\r\n", "a2 ID NIL\r\n")] {
        let words = [client("a1 LOGIN {16}\r\n"), server(answer), client("a2 ID (\"laptop\")\r\n")];
        let sent = run(IMAP, &words).server_text();
        assert!(sent.starts_with(&format!("a1 LOGIN {{16}}\r\n{becomes}")), "{sent}");
    }
    let words = [client("a1 NOOP\r\na2 LOGIN {4}\r\n"), server("a1 NO\r\n+ go\r\n"), client("anon\r\n")];
    assert_eq!(run(IMAP, &words).server_text(), "a1 NOOP\r\na2 LOGIN {4}\r\nanon\r\n");
    assert_eq!(run(IMAP, &[client("a1 LOGIN {4}\r\nanon")]).end, Err(Cut::EarlyData));
    for line in
        ["a1 ID (\"name\" {6+}", "a1 FOO {6+}", "a1 FOO {6}", "foo{6}", "a1 IDLE {6+}", "a1 STARTTLS {6}"]
    {
        let outcome = run(IMAP, &[client(&format!("{line}\r\nlaptop\r\n"))]);
        assert_eq!((outcome.server_text().as_str(), outcome.end), ("", Err(Cut::Literal)), "{line}");
    }
}

#[test]
fn data_of_mechanisms_and_idle_are_lines() {
    let outcome = run(
        IMAP,
        &[
            client("a1 AUTHENTICATE PLAIN\r\n"),
            server("+ \r\n"),
            client("AGFub24AcHc=\r\n"),
            server("a1 NO\r\n"),
            client("a2 AUTHENTICATE CRAM-MD5\r\n"),
            server("+ PDE+\r\n"),
            client("a3 ID (\"laptop\")\r\n"),
            server("a2 BAD\r\n"),
            client("a4 AUTHENTICATE NTLM laptop\r\na5 IDLE\r\n"),
            client("a6 ID (\"laptop\")\r\n"),
            client("DONE\r\n a7 NOOP\r\na8\r\nlaptop: NOOP\r\na9 XFOO laptop\r\n"),
        ],
    );
    assert_eq!(
        outcome.server_text(),
        "a1 AUTHENTICATE PLAIN\r\nAGFub24AcHc=\r\na2 AUTHENTICATE CRAM-MD5\r\n*\r\na4 REFUSED\r\na5 IDLE\r\nDONE\r\n\
         a9 REFUSED\r\n"
    );
    let malformed = outcome.events.iter().filter(|event| event.subject == Subject::Malformed).count();
    assert_eq!(malformed, 6);
    assert_eq!(run(IMAP, &[client("a1 AUTHENTICATE PLAIN\r\nlaptop\r\n")]).end, Err(Cut::EarlyData));
}

#[test]
fn long_lines_of_data_pass() {
    let search = format!("* SEARCH{}\r\n", " 12345".repeat(5000));
    let fetch = format!("* 1 FETCH (ENVELOPE ({}) BODY[] {{7}}\r\na1 OK\r\n)\r\n", "x".repeat(20_000));
    let text = format!("{search}{fetch}{}a1 OK\r\n", search.replace("\r\n", "\n"));
    let outcome = run(IMAP, &[client("a1 STARTTLS\r\n"), server(&text)]);
    assert_eq!(outcome.client_text(), format!("{search}{fetch}{search}a1 OK\r\n"));
    assert_eq!(outcome.end, Ok(Next::Release));
    for start in ["* OK ", "* CAPABILITY ", "a1 OK ", "+ "] {
        let outcome = run(IMAP, &[server(&format!("{start}{}", "x".repeat(8192)))]);
        assert_eq!(
            (outcome.client_text().as_str(), outcome.end),
            ("", Err(Cut::LineTooLong { limit: 8192 }))
        );
    }
}

const PIECES: &[&str] = &[
    "a1 ",
    "a2 ",
    "NOOP\r\n",
    "ID (\"a\")\r\n",
    "LOGIN {3}\r\n",
    "SEARCH {5+}\r\n",
    "APPEND a {20+}\r\n",
    "IDLE\r\n",
    "DONE\r\n",
    "STARTTLS\r\n",
    "AUTHENTICATE PLAIN\r\n",
    "OK\r\n",
    "NO\r\n",
    "+ go\r\n",
    "* 1 FETCH ({4}\r\n",
    "* OK [CAPABILITY COMPRESS=A]\r\n",
    "X-Mailer: a\r\n",
    "Date: 30 Nov 2026 16:36:24 +0100\r\n",
    "To: <a@b>\r\n",
    "abc",
];

proptest! {
    #[test]
    fn chunks_change_nothing(words in conversations(PIECES), sizes in prop::collection::vec(1_usize..40, 1..5)) {
        check_chunks(IMAP, &words, &sizes)?;
    }

    #[test]
    fn a_stored_message_has_its_length_and_no_secret(
        fields in prop::collection::vec(
            prop::sample::select(&[
                "X-Mailer: laptop\r\n", "Message-ID:\r\n <1@laptop>\r\n", "laptop\r\n", "References: <1@laptop> <a@b.i2p>\r\n",
                "References: <laptop\r\n\tlaptop>\r\n", "Content-ID: <1@laptop>\r\n", "Date: laptop\r\n", "MIME-Version: 1.0 (laptop)\n", "To: a\r\n b\r\n",
                "Date: Mon, 30 Nov 2026 16:36:24 +0100 (laptop)\r\n", "To: a\rX-Mailer: laptop\r\n", "To\r: laptop\r\n",
                ":laptop\r\n", "Sender : laptop\r\n",
            ][..]),
            0..10,
        ),
        has_body in any::<bool>(),
        sizes in prop::collection::vec(1_usize..40, 1..5),
    ) {
        let message = fields.concat() + if has_body { "\r\nbody" } else { "" };
        let line = format!("a1 APPEND Sent {{{}+}}\r\n", message.len());
        let words = [client(&format!("{line}{message}\r\na2 NOOP\r\n"))];
        check_chunks(IMAP, &words, &sizes)?;
        let sent = run(IMAP, &words).server_text();
        prop_assert!(!holds(sent.as_bytes(), "laptop"), "{}", sent);
        prop_assert_eq!(sent.len(), line.len() + message.len() + 11);
        prop_assert!(sent.ends_with("\r\na2 NOOP\r\n") && (!has_body || sent.contains("\r\nbody\r\n")), "{}", sent);
    }

    #[test]
    fn what_a_rule_removes_does_not_go_out(
        verbs in prop::collection::vec(
            prop::sample::select(&["a ID", "a ID (\"name\"", "a XFOO", "a", "", "laptop!", "a AUTHENTICATE NTLM", "a AUTHENTICATE gs2-krb5-plus", "a AUTHENTICATE XFOO", "a\tID", "a LANGUAGE"][..]),
            1..9,
        ),
    ) {
        let said: String = verbs.iter().map(|verb| format!("{verb} laptop\r\n")).collect();
        let got = sent(IMAP, &said);
        prop_assert!(!holds(got.as_bytes(), "laptop"), "{}", got);
    }
}
