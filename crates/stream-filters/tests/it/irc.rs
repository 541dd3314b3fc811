//! IRC.

use proptest::prelude::*;
use stream_filters::{Cut, Event, Next, Protocol, Side, Subject};

use crate::session::{Outcome, Words, check_chunks, client, conversations, holds, run, sent, server};

const IRC: Protocol = Protocol::Irc;

fn received(text: &str) -> String {
    run(IRC, &[server(text)]).client_text()
}

fn subjects(outcome: &Outcome) -> Vec<Subject> {
    outcome.events.iter().map(|event: &Event| event.subject).collect()
}

/// As irssi 1.4 begins, with the account "mary" on the machine "laptop".
#[test]
fn a_session_says_nothing_of_its_user() {
    let outcome = run(
        IRC,
        &[
            client("CAP LS 302\r\nNICK anon\r\nUSER mary mary irc.i2p :Mary Smith\r\n"),
            server(
                ":irc.i2p CAP * LS * :multi-prefix sts=port=6697,duration=1 message-tags\r\n:irc.i2p CAP * LS :sasl\r\n",
            ),
            client("CAP REQ :multi-prefix sasl\r\n"),
            server(":irc.i2p CAP anon ACK :multi-prefix sasl\r\n"),
            client("AUTHENTICATE PLAIN\r\n"),
            server("AUTHENTICATE +\r\n"),
            client("AUTHENTICATE YW5vbgBhbm9uAHB3\r\nCAP END\r\n"),
            server(
                ":irc.i2p 001 anon :Welcome anon!user@b32.i2p\r\n:irc.i2p 376 anon :End\r\nPING :irc.i2p\r\n",
            ),
            client(
                "PONG :irc.i2p\r\nMODE anon +i\r\nJOIN #c\r\nPRIVMSG #c :hello  there\r\nPRIVMSG #c :\x01ACTION waves\x01\r\n",
            ),
            server(
                ":bob!u@h INVITE anon :#d\r\n:bob!u@h PRIVMSG anon :\x01VERSION\x01\r\n:bob!u@h PRIVMSG #c :hi\r\n",
            ),
            client(
                "NOTICE bob :\x01VERSION irssi v1.4.5 - running on Linux x86_64\x01\r\nTOPIC #c :new\r\nKICK #c bob :bye\r\n",
            ),
            client("PING LAG1700000000123\r\n"),
            server(":irc.i2p PONG irc.i2p :0\r\n"),
            client("QUIT :irssi 1.4.5\r\n"),
        ],
    );
    assert_eq!(
        outcome.server_text(),
        "CAP LS 302\r\nNICK anon\r\nUSER user 0 * :user\r\nCAP REQ :multi-prefix sasl\r\nAUTHENTICATE PLAIN\r\n\
         AUTHENTICATE YW5vbgBhbm9uAHB3\r\nCAP END\r\nPONG :irc.i2p\r\nMODE anon +i\r\nJOIN #c\r\n\
         PRIVMSG #c :hello  there\r\nPRIVMSG #c :\x01ACTION waves\x01\r\nTOPIC #c :new\r\nKICK #c bob :bye\r\nPING 0\r\n\
         QUIT :leaving\r\n"
    );
    assert_eq!(
        outcome.client_text(),
        ":irc.i2p CAP * LS * :multi-prefix message-tags\r\n:irc.i2p CAP * LS :sasl\r\n\
         :irc.i2p CAP anon ACK :multi-prefix sasl\r\nAUTHENTICATE +\r\n\
         :irc.i2p 001 anon :Welcome anon!user@b32.i2p\r\n:irc.i2p 376 anon :End\r\nPING :irc.i2p\r\n\
         :bob!u@h INVITE anon :#d\r\n:bob!u@h PRIVMSG #c :hi\r\n:irc.i2p PONG irc.i2p :LAG1700000000123\r\n"
    );
    assert_eq!(outcome.end, Ok(Next::Filter));
    assert_eq!(
        subjects(&outcome),
        [
            Subject::UserName,
            Subject::Capability,
            Subject::ProgramQuery,
            Subject::ProgramQuery,
            Subject::PingText,
            Subject::FarewellText
        ]
    );
}

#[test]
fn all_users_say_the_same_of_themselves() {
    for (said, becomes) in [
        ("USER mary 0 * :Mary", "USER user 0 * :user\r\n"),
        ("user mary laptop irc.i2p Mary", "USER user 0 * :user\r\n"),
        ("USER mary 12 * :Mary", "USER user 8 * :user\r\n"),
        ("USER mary 999 * :Mary", "USER user 0 * :user\r\n"),
        ("@account=mary USER", "USER user 0 * :user\r\n"),
        (":mary!mary@laptop USER mary 0 * :Mary", ""),
        ("QUIT", "QUIT :leaving\r\n"),
        ("PART #a,#b", "PART #a,#b :leaving\r\n"),
        ("PART :#a WeeChat", "PART #a :leaving\r\n"),
        ("PART", ""),
        ("PONG", ""),
    ] {
        assert_eq!(sent(IRC, &format!("{said}\r\n")), becomes, "{said}");
    }
}

#[test]
fn only_data_of_a_known_mechanism_passes() {
    for (said, becomes) in [
        // No server wants data yet.
        ("AUTHENTICATE PLAIN\r\nAUTHENTICATE YWJj\r\n", "AUTHENTICATE PLAIN\r\nAUTHENTICATE *\r\n"),
        ("authenticate scram-sha-256\r\n", "AUTHENTICATE scram-sha-256\r\n"),
        ("AUTHENTICATE gs2-krb5-plus\r\nAUTHENTICATE YIIB\r\n", "AUTHENTICATE *\r\nAUTHENTICATE *\r\n"),
        ("AUTHENTICATE XFOO\r\n", "AUTHENTICATE *\r\n"),
        ("AUTHENTICATE YWJj\r\n", "AUTHENTICATE *\r\n"),
        (
            "AUTHENTICATE PLAIN\r\nAUTHENTICATE *\r\nAUTHENTICATE NTLM\r\n",
            "AUTHENTICATE PLAIN\r\nAUTHENTICATE *\r\nAUTHENTICATE *\r\n",
        ),
    ] {
        assert_eq!(sent(IRC, said), becomes, "{said}");
    }
    // Once the server has answered, the next word is a mechanism again.
    for (answer, becomes) in [
        ("AUTHENTICATE +", "YWJj"),
        ("900 a a!b@c a :in", "YWJj"),
        ("421 a FOO :Unknown", "YWJj"),
        ("421 a AUTHENTICATE :Unknown", "*"),
        ("902 a :no", "*"),
        ("903 a :yes", "*"),
        ("904 a :no", "*"),
        ("908 a PLAIN :no", "*"),
    ] {
        let words = [
            client("AUTHENTICATE PLAIN\r\n"),
            server(&format!("AUTHENTICATE +\r\n:s {answer}\r\n")),
            client("AUTHENTICATE YWJj\r\n"),
        ];
        let expected = format!("AUTHENTICATE PLAIN\r\nAUTHENTICATE {becomes}\r\n");
        assert_eq!(run(IRC, &words).server_text(), expected, "{answer}");
    }
}

/// Whatever the server says of it, or does not: the data has ended.
#[test]
fn data_ends_with_a_short_piece() {
    let (full, short) = ("a".repeat(400), "b".repeat(396));
    for (pieces, passes) in
        [(vec![&full, &short], true), (vec![&short, &short], false), (vec![&full, &full, &full], true)]
    {
        let said: String = pieces.iter().map(|piece| format!("AUTHENTICATE {piece}\r\n")).collect();
        let words = [client("AUTHENTICATE PLAIN\r\n"), server("AUTHENTICATE +\r\n"), client(&said)];
        let became = run(IRC, &words).server_text();
        assert_eq!(became.contains("AUTHENTICATE *\r\n"), !passes, "{said}");
    }
    for failure in ["FAIL AUTHENTICATE X :no", ":s 451 * :no", ":s 461 a AUTHENTICATE :no"] {
        let words = [
            client("AUTHENTICATE PLAIN\r\n"),
            server("AUTHENTICATE +\r\n"),
            client("AUTHENTICATE YWJj\r\n"),
            server(&format!("{failure}\r\n")),
            client("AUTHENTICATE NTLM\r\nAUTHENTICATE TlRM\r\n"),
        ];
        let expected = "AUTHENTICATE PLAIN\r\nAUTHENTICATE YWJj\r\nAUTHENTICATE *\r\nAUTHENTICATE *\r\n";
        assert_eq!(run(IRC, &words).server_text(), expected, "{failure}");
    }
}

#[test]
fn commands_that_are_not_known_do_not_pass() {
    for line in [
        "WEBIRC pw gw laptop 192.0.2.1",
        "SERVER laptop 1 :mary",
        "STARTTLS",
        "FOO mary",
        "001 mary",
        ":a PRIVMSG #c :hi",
        " PRIVMSG #c :hi",
        "PRIVMSG #c",
        "PRIVMSG #c hi there",
        "TOPIC #c :\x01VERSION\x01",
        "NICKSERV \x01VERSION\x01",
        "\u{feff}NICK a",
    ] {
        let outcome = run(IRC, &[client(&format!("{line}\r\n"))]);
        assert_eq!(outcome.server_text(), "", "{line}");
        assert_eq!(outcome.events.len(), 1, "{line}");
    }
    for line in
        ["FOO a", ":a!b@c FOO a", ":irc.i2p 332 a #c :\x01VERSION\x01", "@a", ":irc.i2p 010 a other 6667 :go"]
    {
        let outcome = run(IRC, &[server(&format!("{line}\r\n"))]);
        assert_eq!(outcome.client_text(), "", "{line}");
        assert_eq!(outcome.events.len(), 1, "{line}");
    }
}

#[test]
fn a_line_ends_wherever_a_server_may_see_an_end() {
    assert_eq!(
        sent(IRC, "PRIVMSG #c :a\rUSER mary 0 * :Mary\nQUIT :WeeChat\r\n\r\n"),
        "PRIVMSG #c :a\r\nUSER user 0 * :user\r\nQUIT :leaving\r\n"
    );
    assert_eq!(received(":b PRIVMSG #c :a\r:b PRIVMSG a :\x01TIME\x01\n"), ":b PRIVMSG #c :a\r\n");
    assert_eq!(sent(IRC, "PRIVMSG #c :no end"), "");
}

#[test]
fn tags_that_are_not_known_do_not_pass() {
    assert_eq!(
        sent(IRC, "@+typing=active;label=1;+host=laptop;+reply=x PRIVMSG #c :hi\r\n"),
        "@label=1;+reply=x PRIVMSG #c :hi\r\n"
    );
    assert_eq!(sent(IRC, "@+typing=active TAGMSG #c\r\n"), "");
    assert_eq!(sent(IRC, "@+draft/react=x TAGMSG #c\r\n"), "@+draft/react=x TAGMSG #c\r\n");
    // The client sees those of others.
    assert_eq!(received("@time=x;+typing=done :b TAGMSG #c\r\n"), "@time=x;+typing=done :b TAGMSG #c\r\n");
}

#[test]
fn a_ping_gets_its_text_back() {
    let outcome = run(
        IRC,
        &[
            client("PING :a b\r\nPING LAG2 laptop\r\n"),
            server("@time=x :s PONG s :1\r\n:s PONG s 0\r\n:s PONG s 0\r\n"),
        ],
    );
    assert_eq!(outcome.server_text(), "PING 0\r\nPING 1\r\n");
    assert_eq!(outcome.client_text(), "@time=x :s PONG s :LAG2\r\n:s PONG s :a b\r\n:s PONG s 0\r\n");
    assert_eq!(sent(IRC, &format!("PING {}\r\n", "x".repeat(257))), "");
}

#[test]
fn only_the_text_of_a_ping_goes_back() {
    for (asked, said, becomes) in [
        ("", "PONG laptop.example", ""),
        ("", "PONG :x", ""),
        ("PING :irc.i2p", "PONG irc.i2p laptop.example", "PONG :irc.i2p\r\n"),
        ("PING :irc.i2p", "PONG laptop.example :irc.i2p", "PONG :irc.i2p\r\n"),
        ("PING :irc.i2p", "PONG laptop.example", ""),
        (":s PING a b", "pong a b", "PONG :b\r\n"),
        ("PING :a b", "PONG :a b", "PONG :a b\r\n"),
        ("PING :", "PONG :", "PONG :\r\n"),
        ("PING :a\r\nPING :b", "PONG :a\r\nPONG :b\r\nPONG :a", "PONG :a\r\nPONG :b\r\n"),
    ] {
        let outcome = run(IRC, &[server(&format!("{asked}\r\n")), client(&format!("{said}\r\n"))]);
        assert_eq!(outcome.server_text(), becomes, "{asked} {said}");
        let is_reported = subjects(&outcome).contains(&Subject::PingText);
        assert_eq!(is_reported, becomes.lines().count() < said.lines().count(), "{asked} {said}");
    }
}

#[test]
fn a_line_over_the_limit_ends_the_stream() {
    let longest = |length: usize| format!("PRIVMSG #c :{}\r\n", "x".repeat(length - 12));
    assert_eq!(sent(IRC, &longest(4606)), longest(4606));
    let outcome = run(IRC, &[client("NICK a\r\n"), client(&longest(4607)), client("NICK b\r\n")]);
    assert_eq!(outcome.server_text(), "NICK a\r\n");
    assert_eq!(outcome.end, Err(Cut::LineTooLong { limit: 4606 }));
    let outcome = run(IRC, &[server(&longest(8702))]);
    assert_eq!((outcome.client_text().as_str(), outcome.end), ("", Err(Cut::LineTooLong { limit: 8701 })));
}

const PIECES: &[&str] = &[
    "NICK a\r\n",
    "USER ",
    "PRIVMSG #c :",
    "NOTICE a :",
    "\x01ACTION",
    "\x01VERSION\x01",
    "\x10",
    "DCC SEND",
    "@+typing=a;label=1 ",
    ":a!b@c ",
    "PING ",
    "PONG s :",
    "PING :a\r\n",
    "PONG :a\r\n",
    "0",
    "QUIT",
    "PART #c :bye",
    "CAP * LS :tls sasl",
    "AUTHENTICATE NTLM",
    "AUTHENTICATE PLAIN",
    "904 a :no",
    "TAGMSG #c",
    "001 a :x",
    "010 a b",
];

/// Lines of a client in which `laptop` stands where a rule removes it.
fn lines_with_secrets() -> impl Strategy<Value = String> {
    let filler = prop::sample::select(&["laptop", "a laptop", "laptop.example b", "x:laptop"][..]);
    let command = prop::sample::select(
        &[
            "USER {}",
            "USER x {} * :{}",
            "QUIT {}",
            "QUIT :{}",
            "PART #c {}",
            "PART #c :x {}",
            "CYCLE #c :{}",
            "PING {}",
            "PING :{}",
            "PONG {} :x",
            "PONG {}",
            "PONG s {}",
            "PONG :{}",
            "PRIVMSG #c :\x01VERSION {}\x01",
            "PRIVMSG #c :{}\x01TIME\x01",
            "PRIVMSG #c :\x01ACTION x\x01{}\x01",
            "PRIVMSG #c \x01PING{}",
            "PRIVMSG #c :\x10\x01{}",
            "NOTICE a :\x01FINGER :{}\x01",
            "NOTICE a :DCC Send x ({})",
            "NOTICE a :\x02dcc CHAT {}",
            "PRIVMSG a :\x01DCC SEND x {} 1 2\x01",
            "NOTICE a b :{}",
            "TOPIC #c :\x01{}",
            "WEBIRC a {} b c",
            "{}",
            ":{} NICK a",
            "{} NICK a",
            "AUTHENTICATE :x {}",
            "AUTHENTICATE {}",
            "@+x={} NICK a",
            "@+typing={};label=1 TAGMSG #c",
            "TAGMSG #c {}",
        ][..],
    );
    let end = prop::sample::select(&["\r\n", "\n", "\r"][..]);
    let before = prop::sample::select(&["", "", "@label=1 ", "@{}=x;label=2 "][..]);
    (before, command, filler, end).prop_map(|(before, command, filler, end)| {
        let before = if command.starts_with(['@', ':', '{']) { "" } else { before };
        format!("{before}{command}{end}").replace("{}", filler)
    })
}

proptest! {
    #[test]
    fn chunks_change_nothing(words in conversations(PIECES), sizes in prop::collection::vec(1_usize..40, 1..5)) {
        check_chunks(IRC, &words, &sizes)?;
    }

    #[test]
    fn what_a_rule_removes_does_not_go_out(lines in prop::collection::vec(lines_with_secrets(), 1..12)) {
        let asked = server("PING :x\r\nPING s\r\n");
        let outcome = run(IRC, &[asked, client(&lines.concat()), client("\r\n")]);
        prop_assert!(!holds(&outcome.to_server, "laptop"), "{}", outcome.server_text());
        prop_assert!(!outcome.events.is_empty());
    }

    #[test]
    fn what_goes_out_passes_again(words in conversations(PIECES)) {
        let words: Vec<Words> = words.into_iter().filter(|(side, _)| *side == Side::Client).collect();
        let once = run(IRC, &words).to_server;
        // The number of a ping may change.
        let without_pings = |bytes: &[u8]| -> Vec<String> {
            let text = String::from_utf8_lossy(bytes).into_owned();
            text.lines().filter(|line| !line.contains("PING ")).map(str::to_owned).collect()
        };
        let again = run(IRC, &[(Side::Client, once.clone())]).to_server;
        prop_assert_eq!(without_pings(&once), without_pings(&again));
    }

    #[test]
    fn no_program_is_asked_or_answers(text in "[\u{1}\u{10} A-Za-z]{0,30}") {
        for line in [format!("PRIVMSG a :{text}\r\n"), format!("NOTICE a :{text}\r\n")] {
            for got in [sent(IRC, &line), received(&line)] {
                let text = got.trim_end().split_once(" :").map_or("", |(_, text)| text).to_owned();
                let is_action = text.to_ascii_uppercase().starts_with("\u{1}ACTION");
                prop_assert!(is_action || !text.contains('\u{1}'), "{:?}", got);
                prop_assert!(!text.contains('\u{10}'), "{:?}", got);
            }
        }
    }
}
