//! What each rule does. `docs/http.md` of the repository lists the rules.

use std::collections::BTreeSet;

use proptest::prelude::*;
use stream_filters::http::{Request, Verdict, Via, announce, answer_field};

const REQUEST: Request<'static> = Request { via: Via::I2p, authority: "Forum.i2p" };

fn field<'a>(name: &str, value: &'a str) -> Verdict<'a> {
    REQUEST.field(name, value.as_bytes())
}

#[test]
fn what_a_site_needs_passes() {
    for (name, value) in [
        ("Cookie", "a=b"),
        ("Accept-Encoding", "gzip, deflate"),
        ("Authorization", "Basic eDp5"),
        ("Authorization", "Bearer ntlm"),
        ("Range", "bytes=0-1"),
        ("If-None-Match", "\"x\""),
        ("Cache-Control", "no-cache"),
        ("Content-Type", "text/plain"),
        ("Sec-WebSocket-Key", "x"),
        ("X-Requested-With", "XMLHttpRequest"),
        ("X-CSRF-Token", "x"),
        ("Accept", "*/*"),
        ("Accept", "application/json"),
        ("Accept", "image/png"),
        ("Git-Protocol", "version=2"),
    ] {
        assert_eq!(field(name, value), Verdict::Pass, "{name}: {value}");
    }
}

#[test]
fn what_names_the_program_the_person_or_the_machine_does_not() {
    for (name, value) in [
        ("From", "me@example.com"),
        ("Accept-Language", "de-CH"),
        ("ACCEPT-CHARSET", "x"),
        ("Sec-CH-UA-Platform", "x"),
        ("sec-fetch-site", "none"),
        ("Sec-GPC", "1"),
        ("DNT", "1"),
        ("Via", "1.1 host"),
        ("Forwarded", "for=198.51.100.7"),
        ("X-Forwarded-For", "198.51.100.7"),
        ("X-Real-IP", "198.51.100.7"),
        ("Authorization", "NTLM TlRMTVNTUA=="),
        ("Authorization", "negotiate x"),
        ("X-Requested-With", "org.example.app"),
        ("Upgrade-Insecure-Requests", "1"),
        ("Priority", "u=0, i"),
    ] {
        assert_eq!(field(name, value), Verdict::Drop, "{name}: {value}");
    }
}

#[test]
fn browsers_and_programs_look_the_same() {
    // As Firefox 140, Chromium 140, curl and wget send them.
    let agents = [
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "curl/8.5.0",
        "Wget/1.21.3",
        "",
    ];
    let values: BTreeSet<_> =
        agents.iter().map(|agent| format!("{:?}", field("User-Agent", agent))).collect();
    assert_eq!(values.len(), 1);
    let outside = Request { via: Via::Outproxy, ..REQUEST };
    assert_eq!(outside.field("user-agent", b"x"), Verdict::Replace(Via::Outproxy.user_agent().as_bytes()));
    let pages = [
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
         application/signed-exchange;v=b3;q=0.7",
        "text/html, text/*;q=0.5, image/*",
    ];
    let values: BTreeSet<_> = pages.iter().map(|accept| format!("{:?}", field("Accept", accept))).collect();
    assert_eq!(values.len(), 1);
    let pictures = [
        "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
        "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    ];
    let values: BTreeSet<_> =
        pictures.iter().map(|accept| format!("{:?}", field("Accept", accept))).collect();
    assert_eq!(values.len(), 1);
}

#[test]
fn other_sites_stay_unknown() {
    for (referer, verdict) in [
        ("http://forum.i2p/a?b=c", Verdict::Replace(&b"/a?b=c"[..])),
        ("HTTP://FORUM.I2P:80/a#b", Verdict::Replace(b"/a")),
        ("http://forum.i2p/", Verdict::Replace(b"/")),
        ("http://forum.i2p", Verdict::Drop),
        ("http://forum.i2p:81/", Verdict::Drop),
        ("http://other.i2p/forum.i2p/", Verdict::Drop),
        ("http://forum.i2p.other.i2p/", Verdict::Drop),
        ("http://forum.i2p@other.i2p/", Verdict::Drop),
        ("https://forum.i2p/", Verdict::Drop),
        ("/relative", Verdict::Drop),
        ("", Verdict::Drop),
    ] {
        assert_eq!(field("Referer", referer), verdict, "{referer}");
    }
    for (origin, verdict) in [
        ("http://forum.i2p", Verdict::OwnOrigin),
        ("http://other.i2p", Verdict::Replace(&b"null"[..])),
        ("https://forum.i2p", Verdict::Replace(b"null")),
        ("null", Verdict::Replace(b"null")),
        ("", Verdict::Replace(b"null")),
    ] {
        assert_eq!(field("Origin", origin), verdict, "{origin}");
    }
}

#[test]
fn sites_cannot_send_browsers_elsewhere_unseen() {
    for name in ["Alt-Svc", "NEL", "Report-To", "Accept-CH"] {
        assert_eq!(answer_field(name), Verdict::Drop, "{name}");
    }
    for name in ["Content-Type", "Set-Cookie", "Location", "Content-Security-Policy", "WWW-Authenticate"] {
        assert_eq!(answer_field(name), Verdict::Pass, "{name}");
    }
}

fn announced(target: &str) -> Option<String> {
    announce(target).map(Iterator::collect)
}

#[test]
fn trackers_learn_no_address() {
    let own = format!("{}.i2p", "A".repeat(516));
    for (target, becomes) in [
        ("/announce?info_hash=%12ip&ip=192.0.2.1&port=6881", "/announce?info_hash=%12ip&port=6881"),
        ("/a?ip=laptop&info_hash=x", "/a?info_hash=x"),
        ("/a?info_hash=x&ipv4=192.0.2.1:6881;ipv6=%5B2001:db8::1%5D&localip=10.0.0.1", "/a?info_hash=x"),
        ("/a?info_hash=x&%69P=192.0.2.1&%69%70v%34=1&IPV6=2001:db8::1", "/a?info_hash=x"),
        ("/a?info_hash=x&ip=&ip", "/a?info_hash=x"),
        ("/a?info_hash=x&ip=a.i2p&ip=192.0.2.1", "/a?info_hash=x&ip=a.i2p"),
        ("/a?info_hash=x&zip=1&ipx=2&i=3&peer_id=ip&&a", "/a?info_hash=x&zip=1&ipx=2&i=3&peer_id=ip&&a"),
        ("/a?%69nfo_hash=x&ip=192.0.2.1", "/a?%69nfo_hash=x"),
    ] {
        assert_eq!(announced(target).as_deref(), Some(becomes), "{target}");
    }
    let target = format!("http://tracker.i2p/a?info_hash=x&ip={own}");
    assert_eq!(announced(&target), Some(target));
    for other in ["/announce", "/a?ip=192.0.2.1", "/a?x=info_hash&ip=1", ""] {
        assert_eq!(announced(other), None, "{other}");
    }
}

proptest! {
    #[test]
    fn no_address_is_left_in_an_announce(
        parameters in prop::collection::vec(
            prop::sample::select(&["ip", "IP", "i%70", "%69p", "ipv4", "ip%56%34", "ipv6", "localip", "port", "", "%", "%4"][..]),
            0..10,
        ),
        separator in prop::sample::select(&["&", ";"][..]),
    ) {
        let query: Vec<String> = parameters
            .iter()
            .map(|name| if name.contains(['i', 'I']) || name.contains("69") { format!("{name}=laptop") } else { format!("{name}=1") })
            .collect();
        let target = format!("/announce?{}{separator}info_hash=x", query.join(separator));
        let got = announced(&target).unwrap();
        prop_assert!(!got.contains("laptop"), "{}", got);
        prop_assert!(got.ends_with("info_hash=x"));
        prop_assert_eq!(announced(&got), Some(got));
    }
}
