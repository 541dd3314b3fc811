//! The lines that are sent to a bridge: they follow the dialect, and no value can add anything to them.

use std::time::Duration;

use i2p_name::I2pName;
use i2p_sam::{
    DatagramStyle, Dialect, Login, Ports, PrivateKey, SessionId, SessionOptions,
    wire::{
        Auth, Command, DatagramSend, DestGenerate, EncodeError, Hello, Help, LeaseSetDialect,
        LeaseSetEncryption, LeaseSetPublication, Line, LookupName, NamingLookup, Ping, Pong, PrimaryWord,
        Quit, RawSend, SessionAdd, SessionCreate, SessionRemove, StreamAccept, StreamConnect, StreamForward,
        Style, Text,
    },
};
use proptest::prelude::*;

const DIALECTS: [Dialect; 3] = [Dialect::Standard, Dialect::I2pd, Dialect::Emissary];

const CLASSIC: LeaseSetDialect = LeaseSetDialect {
    encryption: LeaseSetEncryption::Classic,
    publication: LeaseSetPublication::AsSpecified,
};

fn text(value: &str) -> Text {
    Text::new(value).unwrap()
}

fn key() -> PrivateKey {
    sam_testkit::private_key().parse().unwrap()
}

/// The line, which must be the same in all dialects.
fn line(command: &impl Command) -> String {
    let [standard, i2pd, emissary] = DIALECTS.map(|dialect| command.line(dialect).unwrap().to_string());
    assert_eq!(standard, i2pd);
    assert_eq!(standard, emissary);
    standard
}

#[test]
fn session_commands() {
    let id = SessionId::random().unwrap();
    let options = SessionOptions::default();
    let tunnels = "inbound.length=3 outbound.length=3 inbound.quantity=2 outbound.quantity=2 \
         i2cp.leaseSetEncType=4,0 inbound.nickname=i2p-socks outbound.nickname=i2p-socks i2cp.dontPublishLeaseSet=true";
    let (shown, new) = (id.as_str(), "DESTINATION=TRANSIENT SIGNATURE_TYPE=7");
    let create = |style| line(&SessionCreate { id: &id, style, lease_set: CLASSIC, options: &options });
    assert_eq!(create(Style::Stream), format!("SESSION CREATE STYLE=STREAM ID={shown} {new} {tunnels}\n"));
    assert_eq!(
        create(Style::Primary(PrimaryWord::Master)),
        format!("SESSION CREATE STYLE=MASTER ID={shown} {new} {tunnels}\n")
    );
    let forward_to = "127.0.0.1:4000".parse().unwrap();
    let datagrams = |style| Style::Datagrams { style, forward_to, ports: Ports { from: 5, to: 6 } };
    assert_eq!(
        create(datagrams(DatagramStyle::Datagram2)),
        format!(
            "SESSION CREATE STYLE=DATAGRAM2 HOST=127.0.0.1 PORT=4000 FROM_PORT=5 TO_PORT=6 ID={shown} {new} {tunnels}\n"
        )
    );
    let raw = datagrams(DatagramStyle::Raw { protocol: Some(7) });
    assert!(create(raw).contains(" TO_PORT=6 PROTOCOL=7 HEADER=true ID="), "{}", create(raw));

    let with_key =
        SessionOptions::default().private_key(key()).publish(true).reduce(Duration::from_secs(600), 1);
    let with_key =
        line(&SessionCreate { id: &id, style: Style::Stream, lease_set: CLASSIC, options: &with_key });
    let keys = sam_testkit::private_key();
    assert!(with_key.contains(&format!(" DESTINATION={keys} inbound.length=3 ")), "{with_key}");
    let end =
        "dontPublishLeaseSet=false i2cp.reduceOnIdle=true i2cp.reduceIdleTime=600000 i2cp.reduceQuantity=1\n";
    assert!(with_key.ends_with(end), "{with_key}");

    let add = |style, listen_port| line(&SessionAdd { id: &id, style, listen_port });
    assert_eq!(
        add(Style::Stream, 0),
        format!("SESSION ADD STYLE=STREAM ID={shown} FROM_PORT=0 LISTEN_PORT=0\n")
    );
    assert_eq!(
        add(Style::Stream, 80),
        format!("SESSION ADD STYLE=STREAM ID={shown} FROM_PORT=80 LISTEN_PORT=80\n")
    );
    assert_eq!(
        add(datagrams(DatagramStyle::Datagram), 5),
        format!(
            "SESSION ADD STYLE=DATAGRAM HOST=127.0.0.1 PORT=4000 FROM_PORT=5 TO_PORT=6 ID={shown} LISTEN_PORT=5\n"
        )
    );
    assert_eq!(line(&SessionRemove { id: &id }), format!("SESSION REMOVE ID={shown}\n"));
}

#[test]
fn stream_and_naming_commands() {
    let id = SessionId::random().unwrap();
    let shown = id.as_str();
    let host = I2pName::parse("a.i2p").unwrap();
    let connect = |ports| line(&StreamConnect { id: &id, destination: &host, ports });
    assert_eq!(
        connect(Ports { from: 7, to: 80 }),
        format!("STREAM CONNECT ID={shown} DESTINATION=a.i2p SILENT=false FROM_PORT=7 TO_PORT=80\n")
    );
    assert_eq!(
        connect(Ports::default()),
        format!("STREAM CONNECT ID={shown} DESTINATION=a.i2p SILENT=false\n")
    );
    assert_eq!(line(&StreamAccept { id: &id }), format!("STREAM ACCEPT ID={shown} SILENT=false\n"));
    let forward = StreamForward { id: &id, forward_to: "[::1]:81".parse().unwrap(), silent: true };
    assert_eq!(line(&forward), format!("STREAM FORWARD ID={shown} PORT=81 HOST=::1 SILENT=true\n"));
    let lookup = |name, options| line(&NamingLookup { name, options });
    assert_eq!(lookup(LookupName::Name(&host), false), "NAMING LOOKUP NAME=a.i2p\n");
    assert_eq!(lookup(LookupName::Me, true), "NAMING LOOKUP NAME=ME OPTIONS=true\n");
    assert_eq!(lookup(LookupName::Nonexistent, false), "NAMING LOOKUP NAME=x\n");
}

#[test]
fn other_commands() {
    assert_eq!(line(&Hello::default()), "HELLO VERSION MIN=3.1 MAX=3.3\n");
    assert_eq!(line(&DestGenerate), "DEST GENERATE SIGNATURE_TYPE=7\n");
    assert_eq!(line(&Pong { text: "12 3" }), "PONG 12 3\n");
    assert_eq!(line(&Pong { text: "" }), "PONG\n");
    assert_eq!(line(&Pong { text: "a\nSTREAM CONNECT" }), "PONG a\n");
    assert_eq!(line(&Ping { text: &text("x PONG") }), "PING x PONG\n");
    assert_eq!(line(&Quit), "QUIT\n");
    assert_eq!(line(&Help), "HELP\n");
    assert_eq!(line(&Auth::Enable), "AUTH ENABLE\n");
    assert_eq!(line(&Auth::Disable), "AUTH DISABLE\n");
    let login = Login { user: text("u"), password: text("p") };
    assert_eq!(line(&Auth::Add(&login)), "AUTH ADD USER=u PASSWORD=p\n");
    assert_eq!(line(&Auth::Remove(&login.user)), "AUTH REMOVE USER=u\n");
    let destination = sam_testkit::destination();
    let to = &destination.parse().unwrap();
    let (size, ports) = (3, Ports::to(9));
    assert_eq!(
        line(&DatagramSend { destination: to, size, ports }),
        format!("DATAGRAM SEND DESTINATION={destination} SIZE=3 TO_PORT=9\n")
    );
    assert_eq!(
        line(&RawSend { destination: to, size, ports, protocol: Some(18) }),
        format!("RAW SEND DESTINATION={destination} SIZE=3 TO_PORT=9 PROTOCOL=18\n")
    );
}

#[test]
fn what_a_dialect_cannot_express_is_an_error() {
    let hello = |password: &str, dialect| {
        let login = Login { user: text("me"), password: text(password) };
        Hello { login: Some(&login) }.line(dialect).map(|line| line.to_string())
    };
    assert_eq!(
        hello("plain", Dialect::I2pd).unwrap(),
        "HELLO VERSION MIN=3.1 MAX=3.3 USER=me PASSWORD=plain\n"
    );
    assert_eq!(
        hello(r#"a "b" \"#, Dialect::Standard).unwrap(),
        "HELLO VERSION MIN=3.1 MAX=3.3 USER=me PASSWORD=\"a \\\"b\\\" \\\\\"\n"
    );
    assert_eq!(hello("a b", Dialect::I2pd), Err(EncodeError::Quotes { key: "PASSWORD" }));
    assert!(hello("a b", Dialect::Emissary).unwrap().ends_with("PASSWORD=\"a b\"\n"));
    assert_eq!(hello("a\"b", Dialect::Emissary), Err(EncodeError::Quotes { key: "PASSWORD" }));
    let long = "x".repeat(4090);
    let long = Pong { text: &long };
    assert!(long.line(Dialect::Standard).is_ok());
    assert!(matches!(long.line(Dialect::Emissary), Err(EncodeError::TooLong { length: 4096, limit: 4095 })));
}

#[test]
fn debug_shows_no_key_and_no_password() {
    let options = SessionOptions::default().private_key(key());
    let login = Login { user: text("alice"), password: text("secret") };
    let shown = format!("{options:?} {login:?} {:?} {:?}", key(), Hello { login: Some(&login) });
    for secret in ["alice", "secret", &sam_testkit::private_key()] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_key_cannot_carry_options() {
    let key = sam_testkit::private_key();
    for wrong in ["", "AAAA", &format!("{key} inbound.length=0"), &format!("{key}\nQUIT")] {
        assert!(wrong.parse::<PrivateKey>().is_err(), "{wrong:?}");
    }
    for wrong in ["a\nb", "a\rb", "\u{7f}", "ä", &"x".repeat(256)] {
        assert!(Text::new(wrong).is_err(), "{wrong:?}");
    }
}

proptest! {
    /// The security of the crate: whatever the values are, a command is one line and has the intended pairs.
    #[test]
    fn no_value_becomes_a_pair_or_a_line(user in "[ -~]{0,40}", password in "[ -~]{0,255}", option in "[ -~]{0,60}") {
        let login = Login { user: text(&user), password: text(&password) };
        let id = SessionId::random().unwrap();
        let options = SessionOptions::default().option("i2cp.leaseSetOption.0", text(&option)).unwrap();
        let create = SessionCreate { id: &id, style: Style::Stream, lease_set: CLASSIC, options: &options };
        for dialect in DIALECTS {
            let hello = Hello { login: Some(&login) }.line(dialect);
            for (line, expected) in [
                (hello, &[("USER", &user), ("PASSWORD", &password)][..]),
                (create.line(dialect), &[("i2cp.leaseSetOption.0", &option)]),
            ] {
                let special = |value: &&(&str, &String)| value.1.is_empty() || value.1.contains([' ', '"', '\\']);
                let Ok(line) = line else {
                    prop_assert!(dialect != Dialect::Standard && expected.iter().any(|value| special(&value)));
                    continue;
                };
                prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
                let line = Line::parse(line.trim_end_matches('\n').as_bytes()).unwrap();
                let pairs: Vec<_> = line.pairs().map(Result::unwrap).collect();
                for (key, value) in expected {
                    let found: Vec<_> = pairs.iter().filter(|(found, _)| found == key).collect();
                    prop_assert_eq!(found.len(), 1);
                    prop_assert_eq!(&*found[0].1, value.as_str());
                }
                prop_assert_eq!(pairs.len(), if line.command == "HELLO" { 4 } else { 13 });
            }
        }
    }
}
