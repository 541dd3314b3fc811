//! XMPP.

use proptest::prelude::*;
use stream_filters::{Cut, Next, Protocol};

use crate::session::{check_chunks, client, conversations, holds, run, sent, server};

const HEADER: &str = "<?xml version='1.0'?><stream:stream to='chat.i2p' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

#[test]
fn a_session_does_its_work_and_tells_nothing_of_the_machine() {
    let outcome = run(
        Protocol::Xmpp,
        &[
            client(&HEADER.replace("to=", "xml:lang=\"de\" to=")),
            server(
                "<?xml version='1.0'?><stream:stream id='1' from='chat.i2p' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>",
            ),
            server(
                "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms><authentication xmlns='urn:xmpp:sasl:2'/></stream:features>",
            ),
            client(
                "<auth xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\" mechanism=\"PLAIN\">AGFub24AcHc=</auth>",
            ),
            server("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"),
            client(HEADER),
            client(
                "<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>telltale-host</resource></bind></iq>",
            ),
            client("<iq type='get' id='r1'><query xmlns='jabber:iq:roster'></query></iq>"),
            client(
                "<presence xml:lang='de'><priority>5</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://gajim.org' ver='x'/></presence>",
            ),
            server(
                "<iq type='get' id='v1' from='bob@chat.i2p/x' to='anon@chat.i2p/y'><query xmlns='jabber:iq:version'/></iq>",
            ),
            client(
                "<iq type='result' id='v1' to='bob@chat.i2p/x'><query xmlns='jabber:iq:version'><name>Gajim</name><os>Linux 6.1</os></query></iq>",
            ),
            client(
                "<message type='chat' to='bob@chat.i2p' id='m1'><body>hi &amp; &lt;bye&gt;</body><active xmlns='http://jabber.org/protocol/chatstates'/></message> ",
            ),
            client("</stream:stream>"),
        ],
    );
    let expected = [
        HEADER,
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFub24AcHc=</auth>",
        HEADER,
        "<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        "<iq type='get' id='r1'><query xmlns='jabber:iq:roster'/></iq>",
        "<presence><priority>5</priority></presence>",
        "<iq type='error' id='v1' to='bob@chat.i2p/x'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
        "<message type='chat' to='bob@chat.i2p' id='m1'><body>hi &amp; &lt;bye&gt;</body></message> ",
        "</stream:stream>",
    ];
    assert_eq!(outcome.server_text(), expected.concat());
    assert_eq!(outcome.end, Ok(Next::Filter));
    assert!(outcome.client_text().contains("<mechanism>PLAIN</mechanism>"));
    assert!(!outcome.client_text().contains("sasl:2"));
}

#[test]
fn the_filter_lets_go_once_the_server_agrees_to_tls() {
    let starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    let proceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    let outcome =
        run(Protocol::Xmpp, &[client(starttls), server(proceed), client("\x16\x03 TLS"), server("\x16TLS")]);
    assert_eq!(outcome.server_text(), starttls.to_owned() + "\x16\x03 TLS");
    assert_eq!(outcome.client_text(), proceed.to_owned() + "\x16TLS");
    assert_eq!(outcome.end, Ok(Next::Release));
    // Nobody has asked, the server refuses, or the client does not wait.
    assert_eq!(run(Protocol::Xmpp, &[server(proceed), client("<a/>")]).end, Ok(Next::Filter));
    let refused =
        [client(starttls), server("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), client("<a/>")];
    assert_eq!(run(Protocol::Xmpp, &refused).end, Ok(Next::Filter));
    assert_eq!(run(Protocol::Xmpp, &[client(starttls), client("<a/>")]).end, Err(Cut::EarlyData));
}

#[test]
fn what_is_no_xml_of_xmpp_ends_the_stream() {
    for text in [
        "GET / HTTP/1.1",
        "<!-- a -->",
        "<!DOCTYPE a>",
        "<?php a?>",
        "<iq><![CDATA[a]]></iq>",
        "<iq>&other;</iq>",
        "<iq>&#x;</iq>",
        "<iq><a></b></iq>",
        "<iq a='1' a='2'/>",
        "<iq a=1/>",
        "<iq a='<'/>",
        "<iq type='res&#117;lt'/>",
        "<iq><a xmlns='jabber:iq:vers&#105;on'/></iq>",
        "<iq a='1'b='2'/>",
        "<1/>",
        "</iq>",
        "<stream:stream/>",
        "<iq>\u{1}</iq>",
    ] {
        let end = run(Protocol::Xmpp, &[client(text)]).end;
        assert_eq!(end, Err(Cut::Markup), "{text}");
    }
    assert_eq!(run(Protocol::Xmpp, &[client("\x16\x03")]).end, Err(Cut::Tls));
    let deep = "<a>".repeat(65);
    assert_eq!(run(Protocol::Xmpp, &[client(&deep)]).end, Err(Cut::Markup));
    let long = format!("<message><body>{}", "x".repeat(128 * 1024));
    assert_eq!(run(Protocol::Xmpp, &[client(&long)]).end, Err(Cut::StanzaTooLong { limit: 128 * 1024 }));
}

#[test]
fn what_could_hide_something_does_not_pass() {
    for (text, expected) in [
        // Prefixes give a name another meaning.
        ("<message><x:c xmlns:x='http://jabber.org/protocol/caps' node='telltale'/></message>", "<message/>"),
        ("<x:iq xmlns:x='jabber:client'/>", ""),
        ("<iq xmlns='urn:other'><telltale/></iq>", ""),
        ("<enable xmlns='urn:other' telltale='1'/>", ""),
        // A rule holds at any depth.
        (
            "<iq type='set' id='1'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish><item><geoloc xmlns='http://jabber.org/protocol/geoloc'><lat>1</lat></geoloc></item></publish></pubsub></iq>",
            "<iq type='set' id='1'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish><item/></publish></pubsub></iq>",
        ),
        (
            "<iq type='result' id='1'><query xmlns='http://jabber.org/protocol/disco#info'><feature var='a'/><x xmlns='jabber:x:data'><field var='os'><value>Linux</value></field></x></query></iq>",
            "<iq type='result' id='1'><query xmlns='http://jabber.org/protocol/disco#info'><feature var='a'/></query></iq>",
        ),
        // Questions pass, and answers to them do not.
        (
            "<iq type='get' id='1' to='a@b.i2p'><query xmlns='jabber:iq:version'/></iq>",
            "<iq type='get' id='1' to='a@b.i2p'><query xmlns='jabber:iq:version'/></iq>",
        ),
        ("<message><extra>telltale</extra><body>a</body></message>", "<message><body>a</body></message>"),
        ("<message telltale='1' to='a'/>", "<message to='a'/>"),
        (
            "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>two words</response>",
            "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        ),
        (
            "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><telltale/></response>",
            "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        ),
    ] {
        assert_eq!(sent(Protocol::Xmpp, text), expected, "{text}");
    }
}

const PIECES: &[&str] = &[
    HEADER,
    "<message to='a'>",
    "<body>telltale&amp;</body>",
    "</message>",
    "<presence/>",
    "<iq type='result' id='1'>",
    "<query xmlns='jabber:iq:version'>",
    "<name>telltale</name>",
    "</query>",
    "</iq>",
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    "<stream:features>",
    "</stream:features>",
    "<streamhost host='a'/>",
    "</stream:stream>",
    "<",
    ">",
    "'",
    "&",
];

proptest! {
    #[test]
    fn any_split_into_chunks_gives_the_same(
        words in conversations(PIECES),
        sizes in prop::collection::vec(1..40_usize, 1..6),
    ) {
        check_chunks(Protocol::Xmpp, &words, &sizes)?;
    }

    #[test]
    fn no_answer_about_the_program_passes(
        before in prop::sample::select(&["", " ", "<presence/>", HEADER][..]),
        middle in prop::sample::select(&["", "<a/>", "text", "<a><b/></a>"][..]),
        namespace in prop::sample::select(&["jabber:iq:version", "urn:xmpp:time", "jabber:iq:last"][..]),
    ) {
        let text = format!("{before}<iq id='1' type='result'><query xmlns='{namespace}'>{middle}<os>telltale</os></query></iq>");
        prop_assert!(!holds(sent(Protocol::Xmpp, &text).as_bytes(), "telltale"));
    }
}
