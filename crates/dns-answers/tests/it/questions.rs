use dns_answers::{Family, Query, Question, Rejected};

use super::{A, AAAA, ANY, EDNS, HTTPS, IN, MX, PTR, TXT, labels, message, query};

fn question(bytes: &[u8]) -> Question {
    Query::parse(bytes).unwrap().question().clone()
}

fn address(name: &[u8], family: Family) -> Question {
    Question::Address { name: name.to_vec(), family }
}

#[test]
fn a_and_aaaa_ask_for_addresses_in_the_clients_spelling() {
    assert_eq!(question(&query("forum.i2p", A)), address(b"forum.i2p", Family::V4));
    assert_eq!(question(&query("FoRuM.i2P", AAAA)), address(b"FoRuM.i2P", Family::V6));
    assert_eq!(
        question(&message(&[b"caf\xc3\xa9", b"i2p"], A, IN, &[])),
        address("café.i2p".as_bytes(), Family::V4)
    );
    // Class ANY includes that of the internet.
    assert_eq!(question(&message(&labels("a.i2p"), A, 255, &[])), address(b"a.i2p", Family::V4));
}

#[test]
fn other_types_ask_whether_the_name_exists() {
    for kind in [MX, TXT, HTTPS, ANY] {
        assert_eq!(question(&query("a.i2p", kind)), Question::Other { name: b"a.i2p".to_vec() });
    }
}

#[test]
fn ptr_asks_for_the_name_of_a_whole_address() {
    let v6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.F.ip6.arpa";
    for (name, address) in
        [("4.3.2.250.in-addr.arpa", "250.2.3.4"), (v6, "fd00::1"), ("1.0.0.127.IN-ADDR.ARPA", "127.0.0.1")]
    {
        assert_eq!(question(&query(name, PTR)), Question::Pointer(address.parse().unwrap()), "{name}");
    }
    for name in [
        "3.2.250.in-addr.arpa",
        "256.2.3.4.in-addr.arpa",
        "0.0.d.f.ip6.arpa",
        "a.i2p",
        "lb._dns-sd._udp.0.0.10.in-addr.arpa",
    ] {
        assert_eq!(question(&query(name, PTR)), Question::Nothing, "{name}");
    }
}

/// Firefox would resolve names elsewhere if its probe had an address, and `ipv4only.arpa` would tell of a gateway to IPv4.
#[test]
fn what_must_have_no_address_asks_for_nothing() {
    for name in [
        "use-application-dns.net",
        "Use-Application-DNS.net",
        "mask.icloud.com",
        "ipv4only.arpa",
        "_dns.resolver.arpa",
    ] {
        for kind in [A, AAAA, HTTPS] {
            assert_eq!(question(&query(name, kind)), Question::Nothing, "{name}");
        }
    }
    assert_eq!(question(&message(&[], A, IN, &[])), Question::Nothing, "the root");
    // Otherwise a label could pass for several, and `evil.i2p` for a name of one label.
    assert_eq!(question(&message(&[b"evil.i2p", b"i2p"], A, IN, &[])), Question::Nothing);
}

fn rejected(bytes: &[u8]) -> Option<(u8, usize)> {
    match Query::parse(bytes).unwrap_err() {
        Rejected::Ignored => None,
        Rejected::Answered(answer) => {
            assert_eq!(answer[..2], bytes[..2], "the number of the query");
            assert!(answer[2] & 0x80 != 0 && answer.len() <= bytes.len());
            Some((answer[3] & 15, answer.len()))
        }
    }
}

#[test]
fn what_is_no_query_is_ignored() {
    let mut response = query("a.i2p", A);
    response[2] |= 0x80;
    assert_eq!(rejected(&response), None);
    for length in 0..12 {
        assert_eq!(rejected(&query("a.i2p", A)[..length]), None, "{length} bytes");
    }
}

#[test]
fn every_shortened_query_is_malformed() {
    let whole = message(&labels("forum.i2p"), A, IN, &[EDNS]);
    assert!(Query::parse(&whole).is_ok());
    for length in 12..whole.len() {
        assert_eq!(rejected(&whole[..length]), Some((1, 12)), "{length} bytes");
    }
}

#[test]
fn malformed_queries_are_told_so() {
    let valid = query("a.i2p", A);
    let with = |at: usize, byte: u8| {
        let mut bytes = valid.clone();
        bytes[at] = byte;
        bytes
    };
    let two_edns = message(&labels("a.i2p"), A, IN, &[EDNS, EDNS]);
    let many = message(&labels("a.i2p"), A, IN, &[b"\0\0\x01\0\x01\0\0\0\0\0\0".as_slice(); 5]);
    let options = [b"\0\0\x29\x10\0\0\0\0\0\x10\x04\0\x0c\x10\0".as_slice(), &[0; 4096]].concat();
    let long = message(&labels("a.i2p"), A, IN, &[&options]);
    let loops = [&valid[..12], b"\xc0\x0c\0\x01\0\x01"].concat();
    let into_header = [&valid[..12], b"\x01a\xc0\x04\0\x01\0\x01"].concat();
    for (what, bytes) in [
        ("no question", with(5, 0)),
        ("two questions", with(5, 2)),
        ("65535 questions", with(4, 255)),
        ("an answer", with(7, 1)),
        ("an authority", with(9, 1)),
        ("bytes behind the end", [valid.as_slice(), b"\0"].concat()),
        ("two EDNS records", two_edns),
        ("many records", many),
        ("too many bytes", long),
        ("a name that points to itself", loops),
        ("a name that points into the header", into_header),
    ] {
        assert_eq!(rejected(&bytes), Some((1, 12)), "{what}");
    }
}

#[test]
fn other_operations_classes_and_versions_are_refused() {
    let mut notify = query("a.i2p", A);
    notify[2] = 4 << 3;
    assert_eq!(rejected(&notify), Some((4, 12)), "NOTIMP");
    let chaos = message(&labels("version.bind"), TXT, 3, &[]);
    assert_eq!(rejected(&chaos), Some((5, chaos.len())), "REFUSED, with the question");
    let edns_1 = message(&labels("a.i2p"), A, IN, &[b"\0\0\x29\x10\0\0\x01\0\0\0\0"]);
    let Err(Rejected::Answered(answer)) = Query::parse(&edns_1) else { panic!("answered") };
    assert_eq!(
        (answer[3] & 15, answer[answer.len() - 6..].to_vec()),
        (0, vec![1, 0, 0, 0, 0, 0]),
        "BADVERS, version 0"
    );
}
