//! Java I2P 2.7.0, byte for byte as recorded from a running router. `<n>` is a key of n characters, `<EOF>` the end of the
//! connection.

use sam_testkit::{Endpoint, TestBridge};

use crate::client::{After, Client, b32, shape, until};

const UNKNOWN_B32: &str = "jq3ng7ievbgthko4z4vkeqb4fkoroungygvkwcd2ktpidurqodaq.b32.i2p";
const EOF: &str = "<EOF>";

/// Sends each line on a connection of its own after HELLO, and checks the answer and whether the connection is closed.
async fn each(bridge: &TestBridge, lines: &[(&str, &str)], after: After) {
    for (line, answer) in lines {
        let mut client = Client::hello(bridge).await;
        assert_eq!(shape(&client.ask(line).await), *answer, "{line}");
        assert_eq!(is_open(&mut client).await, after == After::Open, "{line}");
    }
}

async fn is_open(client: &mut Client) -> bool {
    use tokio::io::AsyncWriteExt;
    let _ = client.0.write_all(b"PING x\n").await;
    client.line().await == "PONG x"
}

#[tokio::test]
async fn hello() {
    let bridge = TestBridge::start().await;
    let must = "HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"Must start with HELLO VERSION\"";
    for (line, answer) in [
        ("HELLO VERSION", "HELLO REPLY RESULT=OK VERSION=3.3"),
        ("HELLO VERSION MIN=3.1 MAX=3.1", "HELLO REPLY RESULT=OK VERSION=3.1"),
        ("HELLO VERSION MIN=3.4 MAX=3.9", "HELLO REPLY RESULT=NOVERSION"),
        ("HELLO VERSION MIN=x MAX=y", "HELLO REPLY RESULT=NOVERSION"),
        ("HELLO VERSION MIN=3.0 MAX=3.3 FOO=BAR", "HELLO REPLY RESULT=OK VERSION=3.3"),
        ("hello version min=3.0 max=3.3", "HELLO REPLY RESULT=OK VERSION=3.3"),
        ("  HELLO   VERSION  MIN=3.0   MAX=3.3", "HELLO REPLY RESULT=OK VERSION=3.3"),
        ("HELLO VERSION MIN=3.0 MAX=3.3\r", "HELLO REPLY RESULT=OK VERSION=3.3"),
        ("HELLO", must),
        ("VERSION HELLO", must),
        ("PING", must),
        ("", must),
        ("SESSION STATUS", must),
        ("GET / HTTP/1.0", must),
    ] {
        let mut client = Client::connect(&bridge).await;
        assert_eq!(client.ask(line).await, answer, "{line:?}");
        assert_eq!(is_open(&mut client).await, answer.contains("RESULT=OK"), "{line:?}");
    }
}

#[tokio::test]
async fn a_login_can_be_required() {
    let bridge = TestBridge::start().await;
    bridge.require_login("u", "p");
    let required = "HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"USER and PASSWORD required\"";
    for (login, answer) in [
        ("", required),
        (" USER=u", required),
        (" USER=u PASSWORD=x", "HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"Authorization failed\""),
        (" USER=u PASSWORD=p", "HELLO REPLY RESULT=OK VERSION=3.3"),
        (" USER=\"u\" PASSWORD=\"p\"", "HELLO REPLY RESULT=OK VERSION=3.3"),
    ] {
        let mut client = Client::connect(&bridge).await;
        assert_eq!(client.ask(&format!("HELLO VERSION MIN=3.0 MAX=3.3{login}")).await, answer);
        assert_eq!(is_open(&mut client).await, answer.contains("RESULT=OK"));
    }
}

#[tokio::test]
async fn utility_commands() {
    let bridge = TestBridge::start().await;
    let missing =
        |word| format!("{word} STATUS RESULT=I2P_ERROR MESSAGE=\"missing subcommand, enter HELP for help\"");
    let unsupported =
        |word| format!("{word} STATUS RESULT=I2P_ERROR MESSAGE=\"unsupported command, enter HELP for help\"");
    let lines = [
        ("HELLO VERSION MIN=3.0 MAX=3.3", unsupported("HELLO")),
        ("PING", "PONG".to_owned()),
        ("PING some text  with spaces", "PONG some text  with spaces".to_owned()),
        ("PING \"", "PONG \"".to_owned()),
        ("HELP", "HELP STATUS RESULT=OK MESSAGE=https://geti2p.net/en/docs/api/samv3".to_owned()),
        ("FOO", missing("FOO")),
        ("FOO BAR", unsupported("FOO")),
        ("SESSION", missing("SESSION")),
        ("STREAM", missing("STREAM")),
        ("NAMING", missing("NAMING")),
        ("DEST", missing("DEST")),
    ];
    for (line, answer) in lines {
        each(&bridge, &[(line, &answer)], After::Open).await;
    }
    let lines = [
        ("QUIT", "QUIT STATUS RESULT=OK MESSAGE=bye"),
        ("EXIT", "EXIT STATUS RESULT=OK MESSAGE=bye"),
        ("quit", "QUIT STATUS RESULT=OK MESSAGE=bye"),
        // Without its newline.
        ("DEST FOO", "DEST REPLY RESULT=I2P_ERROR MESSAGE=\"DEST GENERATE required\"<EOF>"),
        ("NAMING FOO NAME=x", EOF),
        ("NAMING LOOKUP NAME=ME", EOF),
    ];
    each(&bridge, &lines, After::Closed).await;
    // A PONG without a PING, and a line without a word, are not answered.
    let mut client = Client::hello(&bridge).await;
    client.send("PONG x\n\n   \n\r\n").await;
    assert_eq!(client.ask("PING 1").await, "PONG 1");
    client.send([b"PING ", &[b'x'; 70_000][..], b"\n"].concat()).await;
    let answer = client.line().await;
    assert_eq!(answer, "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"Line too long - max 8192\"");
}

#[tokio::test]
async fn destinations() {
    let bridge = TestBridge::start().await;
    let unsupported =
        |given| format!("DEST REPLY RESULT=I2P_ERROR MESSAGE=\"SIGNATURE_TYPE {given} unsupported\"");
    for (line, answer) in [
        ("DEST GENERATE", "DEST REPLY PUB=<516> PRIV=<884>"),
        ("DEST GENERATE SIGNATURE_TYPE=0", "DEST REPLY PUB=<516> PRIV=<884>"),
        ("DEST GENERATE SIGNATURE_TYPE=1", "DEST REPLY PUB=<524> PRIV=<908>"),
        ("DEST GENERATE SIGNATURE_TYPE=7", "DEST REPLY PUB=<524> PRIV=<908>"),
        ("DEST GENERATE SIGNATURE_TYPE=EdDSA_SHA512_Ed25519", "DEST REPLY PUB=<524> PRIV=<908>"),
        ("DEST GENERATE SIGNATURE_TYPE=ECDSA_SHA256_P256", "DEST REPLY PUB=<524> PRIV=<908>"),
        ("DEST GENERATE SIGNATURE_TYPE=11", "DEST REPLY PUB=<524> PRIV=<908>"),
        ("DEST GENERATE SIGNATURE_TYPE=99", &unsupported("99")),
        ("DEST GENERATE SIGNATURE_TYPE=foo", &unsupported("foo")),
        ("DEST GENERATE FOO=1", "DEST REPLY PUB=<516> PRIV=<884>"),
    ] {
        each(&bridge, &[(line, answer)], After::Open).await;
    }
}

#[tokio::test]
async fn lookups_without_a_session() {
    let bridge = TestBridge::start().await;
    let destination = bridge.host("www.test.i2p", Endpoint::Sink);
    let b32 = b32(&destination);
    let not_found = |name: &str| format!("NAMING REPLY RESULT=KEY_NOT_FOUND NAME={name}");
    let found = |name: &str| format!("NAMING REPLY RESULT=OK NAME={name} VALUE={destination}");
    let lookups = [
        ("NAME=www.test.i2p", found("www.test.i2p")),
        ("NAME=WWW.TEST.I2P", found("WWW.TEST.I2P")),
        (&format!("NAME={b32}"), found(&b32)),
        (&format!("NAME={}", b32.to_uppercase()), found(&b32.to_uppercase())),
        (&format!("NAME={destination}"), found(&destination)),
        ("NAME=\"www.test.i2p\"", found("www.test.i2p")),
        ("NAME=www.test.i2p OPTIONS=true", found("www.test.i2p")),
        (&format!("NAME={UNKNOWN_B32}"), not_found(UNKNOWN_B32)),
        ("NAME=nosuch.i2p", not_found("nosuch.i2p")),
        ("NAME=example.com", not_found("example.com")),
        (&format!("NAME={}", &b32[1..]), not_found(&b32[1..])),
        (&format!("NAME={}", &destination[..100]), not_found(&destination[..100])),
        ("NAME=localhost", not_found("localhost")),
        ("NAME=", not_found("true")),
        (
            "name=www.test.i2p",
            "NAMING REPLY RESULT=KEY_NOT_FOUND NAME=\"\" MESSAGE=\"Must specify NAME\"".to_owned(),
        ),
    ];
    let mut client = Client::hello(&bridge).await;
    for (lookup, answer) in lookups {
        assert_eq!(client.ask(&format!("NAMING LOOKUP {lookup}")).await, answer);
    }
}

#[tokio::test]
async fn refused_sessions() {
    let bridge = TestBridge::start().await;
    let key = sam_testkit::private_key();
    let invalid = "SESSION STATUS RESULT=INVALID_KEY".to_owned();
    let error = |message: &str| format!("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"{message}\"");
    for (line, answer) in [
        ("SESSION CREATE", error("ID not specified")),
        ("SESSION CREATE STYLE=STREAM", error("ID not specified")),
        ("SESSION CREATE STYLE=STREAM ID=a", error("DESTINATION not specified")),
        ("SESSION CREATE ID=a DESTINATION=TRANSIENT", error("No SESSION STYLE specified")),
        ("SESSION CREATE STYLE=FOO ID=a DESTINATION=TRANSIENT", error("Unrecognized SESSION STYLE")),
        ("SESSION CREATE STYLE=DATAGRAM2 ID=a DESTINATION=TRANSIENT", error("Unrecognized SESSION STYLE")),
        ("SESSION CREATE STYLE=DATAGRAM3 ID=a DESTINATION=TRANSIENT", error("Unrecognized SESSION STYLE")),
        ("SESSION CREATE STYLE=STREAM ID=a DESTINATION=", invalid.clone()),
        ("SESSION CREATE STYLE=STREAM ID=a DESTINATION=abcd", invalid.clone()),
        ("SESSION CREATE STYLE=STREAM ID=a DESTINATION=transient", invalid.clone()),
        (
            &format!("SESSION CREATE STYLE=STREAM ID=a DESTINATION={}", sam_testkit::destination()),
            invalid.clone(),
        ),
        (&format!("SESSION CREATE STYLE=STREAM ID=a DESTINATION={}", &key[..904]), invalid.clone()),
        ("SESSION CREATE STYLE=STREAM ID=\"a b\" DESTINATION=abcd", invalid),
        (
            "SESSION CREATE STYLE=STREAM ID=a DESTINATION=TRANSIENT SIGNATURE_TYPE=99",
            error("SIGNATURE_TYPE 99 unsupported"),
        ),
        ("SESSION CREATE STYLE=RAW ID=a DESTINATION=TRANSIENT PORT=70000", error("port out of range:70000")),
        ("SESSION CREATE STYLE=STREAM ID=a ID=b DESTINATION=abcd", error("Duplicate parameter ID")),
        ("SESSION CREATE STYLE=STREAM ID=\"a DESTINATION=TRANSIENT", error("Unterminated quote")),
        ("SESSION CREATE =STREAM", error("Empty parameter name")),
        ("SESSION FOO STYLE=STREAM", error("ID not specified")),
        ("SESSION ADD STYLE=STREAM ID=x", error("Not a PRIMARY session")),
        ("SESSION REMOVE ID=x", error("Not a PRIMARY session")),
    ] {
        each(&bridge, &[(line, &answer)], After::Open).await;
    }
    assert_eq!(bridge.open_sessions(), 0);
}

#[tokio::test]
async fn created_sessions() {
    let bridge = TestBridge::start().await;
    for (id, options, length) in [
        ("a", "STYLE=STREAM", 884),
        ("b", "STYLE=STREAM SIGNATURE_TYPE=7", 908),
        ("c", "STYLE=STREAM FROM_PORT=70000", 884),
        ("d", "STYLE=DATAGRAM", 884),
        ("e", "STYLE=RAW PROTOCOL=6", 884),
        ("f", "STYLE=RAW PROTOCOL=300", 884),
        ("g", "STYLE=RAW PORT=24391 PROTOCOL=18 HEADER=true", 884),
        ("h", "STYLE=MASTER", 884),
        ("", "STYLE=STREAM", 884),
    ] {
        let mut client = Client::hello(&bridge).await;
        let answer = client.ask(&format!("SESSION CREATE ID={id} DESTINATION=TRANSIENT {options}")).await;
        assert_eq!(shape(&answer), format!("SESSION STATUS RESULT=OK DESTINATION=<{length}>"), "{options}");
    }
    let key = sam_testkit::private_key();
    let create = |id: &str| format!("SESSION CREATE STYLE=STREAM ID={id} DESTINATION={key}");
    let mut first = Client::hello(&bridge).await;
    assert_eq!(first.ask(&create("K")).await, format!("SESSION STATUS RESULT=OK DESTINATION={key}"));
    assert_eq!(
        first.ask(&create("K3")).await,
        "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"Session already exists\""
    );
    let me = format!("NAMING REPLY RESULT=OK NAME=ME VALUE={}", sam_testkit::destination());
    assert_eq!(first.ask("NAMING LOOKUP NAME=ME").await, me);
    let mut second = Client::hello(&bridge).await;
    assert_eq!(second.ask(&create("K2")).await, "SESSION STATUS RESULT=DUPLICATED_DEST");
    assert_eq!(second.ask("PING x").await, "PONG x");
}

#[tokio::test]
async fn subsessions() {
    let bridge = TestBridge::start().await;
    let (mut client, _) = Client::session(&bridge, "M", "STYLE=PRIMARY").await;
    let error = |id: &str, message: &str| {
        format!("SESSION STATUS RESULT=I2P_ERROR ID=\"{id}\" MESSAGE=\"{message}\"")
    };
    let ok = |id: &str, what: &str| format!("SESSION STATUS RESULT=OK ID=\"{id}\" MESSAGE=\"{what} {id}\"");
    let missing = |what: &str| format!("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"{what}\"");
    for (line, answer) in [
        ("SESSION ADD STYLE=STREAM ID=M1", ok("M1", "ADD")),
        ("SESSION ADD STYLE=STREAM ID=M1", error("M1", "Duplicate ID M1")),
        ("SESSION ADD STYLE=STREAM ID=M2", error("M2", "Duplicate protocol 6 and port 0")),
        ("SESSION ADD STYLE=STREAM ID=M2 LISTEN_PORT=77", ok("M2", "ADD")),
        ("SESSION ADD STYLE=DATAGRAM ID=M3 PORT=24392", ok("M3", "ADD")),
        ("SESSION ADD STYLE=RAW ID=M4 PORT=24393 PROTOCOL=18", ok("M4", "ADD")),
        ("SESSION ADD STYLE=RAW ID=M5", error("M5", "RAW subsession must specify PORT")),
        ("SESSION ADD STYLE=DATAGRAM2 ID=M6 PORT=24394", error("M6", "Unrecognized SESSION STYLE DATAGRAM2")),
        (
            "SESSION ADD STYLE=STREAM ID=M7 DESTINATION=TRANSIENT",
            error("M7", "SESSION ADD may not contain DESTINATION"),
        ),
        ("SESSION ADD STYLE=STREAM", missing("ID not specified")),
        ("SESSION ADD ID=M8", missing("No SESSION STYLE specified")),
        ("SESSION REMOVE ID=M2", ok("M2", "REMOVE")),
        ("SESSION REMOVE ID=M2", error("M2", "ID M2 not found")),
        ("SESSION REMOVE", missing("ID not specified")),
        ("SESSION REMOVE ID=M", error("M", "ID M not found")),
    ] {
        assert_eq!(client.ask(line).await, answer, "{line}");
    }
    Client::stream(&bridge, "M1", "echo.i2p").await;
}

#[tokio::test]
async fn failing_streams() {
    let bridge = TestBridge::start().await;
    let (_a, _) = Client::session(&bridge, "A", "STYLE=STREAM").await;
    let (_m, _) = Client::session(&bridge, "M", "STYLE=PRIMARY").await;
    let (mut d, _) = Client::session(&bridge, "D", "STYLE=DATAGRAM").await;
    let (_x, deaf) = Client::session(&bridge, "X", "STYLE=STREAM").await;
    let echo = sam_testkit::destination();
    let status = |result: &str| format!("STREAM STATUS RESULT={result}");
    let error = |message: &str| status(&format!("I2P_ERROR MESSAGE=\"{message}\""));
    let no_session = status("INVALID_ID MESSAGE=\"STREAM SESSION ID nosuch does not exist\"");
    for (line, answer) in [
        ("STREAM CONNECT", error("ID not specified")),
        ("STREAM CONNECT ID=A", error("No parameters specified in STREAM CONNECT message")),
        (&format!("STREAM CONNECT DESTINATION={echo}"), error("ID not specified")),
        (&format!("STREAM CONNECT ID=nosuch DESTINATION={echo}"), no_session.clone()),
        ("STREAM CONNECT ID=A DESTINATION=abcd", status("INVALID_KEY MESSAGE=\"Host name not found: abcd\"")),
        (
            "STREAM CONNECT ID=A DESTINATION=nosuch.i2p",
            status("INVALID_KEY MESSAGE=\"Host name not found: nosuch.i2p\""),
        ),
        (
            &format!("STREAM CONNECT ID=A DESTINATION={UNKNOWN_B32}"),
            status(&format!("INVALID_KEY MESSAGE=\"Lease set not found: {UNKNOWN_B32}\"")),
        ),
        (
            &format!("STREAM CONNECT ID=A DESTINATION={echo} TO_PORT=70000"),
            "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"bad port\"".to_owned(),
        ),
        ("STREAM FOO ID=A", error("Unrecognized STREAM message opcode: FOO")),
        (&format!("STREAM CONNECT ID=M DESTINATION={echo}"), error("primary session")),
        (
            &format!("STREAM CONNECT ID=A DESTINATION={deaf}"),
            status("CANT_REACH_PEER MESSAGE=\"Connection reset\""),
        ),
        (&format!("STREAM CONNECT ID=A DESTINATION={deaf} SILENT=true"), EOF.to_owned()),
        ("STREAM ACCEPT", error("ID not specified")),
        ("STREAM ACCEPT ID=nosuch", no_session.clone()),
        ("STREAM FORWARD ID=X", error("Forwarding failed : receiver port not specified")),
        ("STREAM FORWARD ID=nosuch PORT=1", no_session),
    ] {
        each(&bridge, &[(line, &answer)], After::Closed).await;
    }
    let own = d.ask(&format!("STREAM CONNECT ID=D DESTINATION={echo}")).await;
    assert_eq!(own, error("v3 control socket cannot be used for STREAM"));
}

#[tokio::test]
async fn a_duplicate_id_removes_the_record_of_the_first_session() {
    let bridge = TestBridge::start().await;
    let (mut first, _) = Client::session(&bridge, "EA", "STYLE=STREAM").await;
    Client::stream(&bridge, "EA", "echo.i2p").await;
    let mut second = Client::hello(&bridge).await;
    let answer = second.ask("SESSION CREATE ID=EA STYLE=STREAM DESTINATION=TRANSIENT").await;
    assert_eq!(answer, "SESSION STATUS RESULT=DUPLICATED_ID");
    assert_eq!(second.ask("PING").await, "PONG");
    drop(second);
    until(|| bridge.open_sessions() == 0).await;
    let mut stream = Client::hello(&bridge).await;
    let answer = stream.ask("STREAM CONNECT ID=EA DESTINATION=echo.i2p").await;
    assert_eq!(answer, "STREAM STATUS RESULT=INVALID_ID MESSAGE=\"STREAM SESSION ID EA does not exist\"");
    assert_eq!(first.ask("PING").await, "PONG");
}
