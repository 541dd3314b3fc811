//! The rules for XMPP: which elements and which namespaces pass.

use crate::{Subject, rule::Entry};

/// What becomes of an element of the client at the first level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Pass,
    Remove(Subject),
    /// TLS begins once the server agrees.
    StartTls,
    /// A login, by its mechanism.
    Auth,
    /// Data of a login.
    AuthData,
    /// A stanza: its contents decide.
    Stanza,
}

/// What becomes of an element in a stanza, by its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    Pass,
    Remove(Subject),
    /// An answer to a question about the program or its machine. An error takes its place, and questions pass.
    Answer(Subject),
    /// The elements of this name in it are removed.
    Without(&'static str, Subject),
    /// What a program says of itself when it is asked for its features.
    Discovery,
}

/// The conditions of errors, and the words about them.
pub(super) const CONDITIONS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// What programs write into a stanza in which nothing else may stand.
pub(super) const ELEMENTS: &[Entry<Element>] = &[
    Entry::same(
        Element::StartTls,
        &["starttls"],
        "Once the server agrees, the filter lets go: it can see nothing more.",
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    ),
    Entry::new(
        Element::Auth,
        &["auth"],
        "Passwords and keys are the person's. Other mechanisms, such as those of Windows and Kerberos, can name the machine.",
        [
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='GSSAPI'>YQ==</auth>",
            "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        ],
    ),
    Entry::same(
        Element::AuthData,
        &["response"],
        "What a mechanism needs.",
        "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>YQ==</response>",
    ),
    Entry::same(
        Element::AuthData,
        &["abort"],
        "The client gives a login up.",
        "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    ),
    Entry::new(
        Element::Stanza,
        &["message"],
        "What a person writes passes. The language is that of the machine.",
        [
            "<message to='bob@chat.i2p' xml:lang='de'><body>hi</body></message>",
            "<message to='bob@chat.i2p'><body>hi</body></message>",
        ],
    ),
    Entry::new(
        Element::Stanza,
        &["presence"],
        "Whether the person is there, and what the person says of it. The name and version of the program go.",
        [
            "<presence><show>away</show><c xmlns='http://jabber.org/protocol/caps' node='https://gajim.org' ver='a' hash='sha-1'/></presence>",
            "<presence><show>away</show></presence>",
        ],
    ),
    Entry::new(
        Element::Stanza,
        &["iq"],
        "Questions, answers and changes. A payload that no rule knows is removed, and the server answers with an error.",
        ["<iq type='get' id='1'><query xmlns='urn:example:unknown'/></iq>", "<iq type='get' id='1'/>"],
    ),
    Entry::same(
        Element::Pass,
        &["enable", "resume", "a", "r"],
        "Stream management (XEP-0198): both ends know what has arrived.",
        "<enable xmlns='urn:xmpp:sm:3'/>",
    ),
    Entry::new(
        Element::Remove(Subject::Activity),
        &["inactive", "active"],
        "They tell when a person looks at the program (XEP-0352).",
        ["<inactive xmlns='urn:xmpp:csi:0'/>", ""],
    ),
    Entry::new(
        Element::Remove(Subject::Capability),
        &["compress"],
        "No filter could look into it.",
        ["<compress xmlns='http://jabber.org/protocol/compress'/>", ""],
    ),
    Entry::new(
        Element::Remove(Subject::Program),
        &["authenticate"],
        "A login (XEP-0388) that names the program and its device. Servers do not offer it through the filter.",
        ["<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>", ""],
    ),
];

/// The payloads of the client's stanzas.
pub(super) const PAYLOADS: &[Entry<Payload>] = &[
    Entry::new(
        Payload::Answer(Subject::Program),
        &["jabber:iq:version"],
        "It names the program, its version and the system (XEP-0092). The one who asks gets an error.",
        [
            "<iq type='result' id='1' to='bob@chat.i2p'><query xmlns='jabber:iq:version'><name>Gajim</name></query></iq>",
            "<iq type='error' id='1' to='bob@chat.i2p'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
        ],
    ),
    Entry::new(
        Payload::Answer(Subject::TimeZone),
        &["urn:xmpp:time", "jabber:iq:time"],
        "The time and time zone of the machine (XEP-0202).",
        [
            "<iq type='result' id='1'><time xmlns='urn:xmpp:time'><tzo>+05:45</tzo></time></iq>",
            "<iq type='error' id='1'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
        ],
    ),
    Entry::new(
        Payload::Answer(Subject::Activity),
        &["jabber:iq:last"],
        "For how long nobody has touched the machine (XEP-0012).",
        [
            "<iq type='result' id='1'><query xmlns='jabber:iq:last' seconds='903'/></iq>",
            "<iq type='error' id='1'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
        ],
    ),
    Entry::new(
        Payload::Without("resource", Subject::HostName),
        &[BIND],
        "Many programs call their resource after the machine or themselves. The server chooses another one.",
        [
            "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>laptop</resource></bind></iq>",
            "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        ],
    ),
    Entry::new(
        Payload::Discovery,
        &["http://jabber.org/protocol/disco#info"],
        "What the program can do passes; its name and version do not (XEP-0030, XEP-0232).",
        [
            "<iq type='result' id='1'><query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc' name='Gajim'/></query></iq>",
            "<iq type='result' id='1'><query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc'/></query></iq>",
        ],
    ),
    Entry::new(
        Payload::Without("streamhost", Subject::DirectConnection),
        &["http://jabber.org/protocol/bytestreams"],
        "It offers a connection to addresses of this machine (XEP-0065). Programs then send files through the server.",
        [
            "<iq type='set' id='1'><query xmlns='http://jabber.org/protocol/bytestreams' sid='a'><streamhost jid='a@b.i2p' host='192.0.2.7' port='5086'/></query></iq>",
            "<iq type='set' id='1'><query xmlns='http://jabber.org/protocol/bytestreams' sid='a'/></iq>",
        ],
    ),
    Entry::new(
        Payload::Without("candidate", Subject::DirectConnection),
        &["urn:xmpp:jingle:1"],
        "Calls and files: the addresses of this machine go (XEP-0176, XEP-0177, XEP-0260).",
        [
            "<iq type='set' id='1'><jingle xmlns='urn:xmpp:jingle:1'><transport xmlns='urn:xmpp:jingle:transports:ice-udp:1'><candidate ip='192.0.2.7' port='9'/></transport></jingle></iq>",
            "<iq type='set' id='1'><jingle xmlns='urn:xmpp:jingle:1'><transport xmlns='urn:xmpp:jingle:transports:ice-udp:1'/></jingle></iq>",
        ],
    ),
    Entry::new(
        Payload::Remove(Subject::Program),
        &["http://jabber.org/protocol/caps"],
        "It names the program and its version (XEP-0115, XEP-0390).",
        [
            "<presence><c xmlns='http://jabber.org/protocol/caps' node='https://gajim.org'/></presence>",
            "<presence/>",
        ],
    ),
    Entry::new(
        Payload::Remove(Subject::Program),
        &["urn:xmpp:caps"],
        "It is made of what the program can do, so programs can be told by it (XEP-0390).",
        ["<presence><c xmlns='urn:xmpp:caps'/></presence>", "<presence/>"],
    ),
    Entry::new(
        Payload::Remove(Subject::Activity),
        &["urn:xmpp:idle:1", "urn:xmpp:chat-markers:0"],
        "Since when nobody has touched the machine (XEP-0319), and when a person has read a message (XEP-0333).",
        [
            "<presence><idle xmlns='urn:xmpp:idle:1' since='2026-11-30T12:00:00+05:45'/></presence>",
            "<presence/>",
        ],
    ),
    Entry::new(
        Payload::Remove(Subject::Typing),
        &["http://jabber.org/protocol/chatstates"],
        "When a person types (XEP-0085).",
        [
            "<message to='bob@chat.i2p'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
            "<message to='bob@chat.i2p'/>",
        ],
    ),
    Entry::new(
        Payload::Remove(Subject::TimeZone),
        &["urn:xmpp:delay", "jabber:x:delay"],
        "When something was written, by the clock of the machine (XEP-0203).",
        [
            "<message to='bob@chat.i2p'><delay xmlns='urn:xmpp:delay' stamp='2026-11-30T12:00:00+05:45'/></message>",
            "<message to='bob@chat.i2p'/>",
        ],
    ),
    Entry::new(
        Payload::Without("text", Subject::Program),
        &[CONDITIONS],
        "An error says what is wrong. Programs put their names into the words about it (RFC 6120 section 8.3.4).",
        [
            "<iq type='error' id='1'><error type='cancel'><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Gajim fails</text></error></iq>",
            "<iq type='error' id='1'><error type='cancel'><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
        ],
    ),
    Entry::new(
        Payload::Remove(Subject::Location),
        &["http://jabber.org/protocol/geoloc"],
        "Where the machine is (XEP-0080).",
        [
            "<message to='bob@chat.i2p'><geoloc xmlns='http://jabber.org/protocol/geoloc'/></message>",
            "<message to='bob@chat.i2p'/>",
        ],
    ),
    Entry::same(
        Payload::Pass,
        &[
            "jabber:iq:roster",
            "urn:ietf:params:xml:ns:xmpp-session",
            "urn:xmpp:ping",
            "http://jabber.org/protocol/disco#items",
            "jabber:iq:register",
            "jabber:iq:private",
            "jabber:iq:search",
            "vcard-temp",
            "urn:xmpp:carbons:2",
            "urn:xmpp:mam:2",
            "urn:xmpp:blocking",
            "http://jabber.org/protocol/muc#admin",
            "http://jabber.org/protocol/muc#owner",
            "http://jabber.org/protocol/pubsub",
            "http://jabber.org/protocol/pubsub#owner",
            "http://jabber.org/protocol/commands",
            "urn:xmpp:http:upload:0",
            "http://jabber.org/protocol/ibb",
            "http://jabber.org/protocol/si",
        ],
        "Contacts, rooms, archives, files and what a person keeps at the server. The person chooses what it holds.",
        "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>",
    ),
    Entry::same(
        Payload::Pass,
        &[
            "http://jabber.org/protocol/muc",
            "http://jabber.org/protocol/muc#user",
            "jabber:x:conference",
            "jabber:x:oob",
            "jabber:x:data",
            "jabber:x:encrypted",
            "jabber:x:signed",
            "vcard-temp:x:update",
            "urn:xmpp:receipts",
            "urn:xmpp:hints",
            "urn:xmpp:sid:0",
            "urn:xmpp:message-correct:0",
            "urn:xmpp:message-retract:1",
            "urn:xmpp:reply:0",
            "urn:xmpp:reactions:0",
            "urn:xmpp:fallback:0",
            "urn:xmpp:eme:0",
            "urn:xmpp:omemo:2",
            "eu.siacs.conversations.axolotl",
            "urn:xmpp:openpgp:0",
            "http://jabber.org/protocol/xhtml-im",
            "http://jabber.org/protocol/nick",
        ],
        "Parts of messages and of presence that a person writes, or that encrypt them.",
        "<message to='bob@chat.i2p'><x xmlns='http://jabber.org/protocol/muc'/></message>",
    ),
];

/// What the server offers, by its namespace.
pub(super) const FEATURES: &[Entry<()>] = &[Entry::new(
    (),
    &["http://jabber.org/features/compress", "urn:xmpp:sasl:2", "urn:xmpp:bind:0"],
    "No filter could look into what is compressed. The others name the program and its device.",
    [
        "<stream:features><x xmlns='http://jabber.org/features/compress'/></stream:features>",
        "<stream:features/>",
    ],
)];

/// Elements in the server's stanzas that would make the program connect elsewhere, by their names.
pub(super) const OFFERS: &[Entry<Subject>] = &[
    Entry::new(
        Subject::DirectConnection,
        &["streamhost", "candidate"],
        "A program that gets no offer does not connect.",
        [
            "<iq type='set' id='1'><query xmlns='a'><streamhost host='192.0.2.9'/></query></iq>",
            "<iq type='set' id='1'><query xmlns='a'/></iq>",
        ],
    ),
    Entry::new(
        Subject::Redirect,
        &["see-other-host"],
        "The program would connect to another server, outside I2P even, without the person.",
        [
            "<stream:error><see-other-host xmlns='a'>198.51.100.7</see-other-host></stream:error>",
            "<stream:error/>",
        ],
    ),
];

/// Parts of what the server says of the stream that would make the program connect elsewhere, by their names.
pub(super) const STREAM_PARTS: &[Entry<Subject>] = &[Entry::new(
    Subject::Redirect,
    &["location"],
    "The program would resume its stream at another server, outside I2P even (XEP-0198 section 5).",
    [
        "<enabled xmlns='urn:xmpp:sm:3' id='a' resume='true' location='198.51.100.7:9'/>",
        "<enabled xmlns='urn:xmpp:sm:3' id='a' resume='true'/>",
    ],
)];
