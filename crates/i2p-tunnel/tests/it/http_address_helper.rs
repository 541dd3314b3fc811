//! Links that say which destination a name has (`?i2paddresshelper=`): nothing is opened before the person has agreed.

use std::sync::Arc;

use i2p_name::I2pName;
use i2p_tunnel::{BookAccess, Isolate, NameOrigin, SessionPolicy};
use sam_testkit::{Endpoint, TestBridge};
use tokio::net::TcpStream;

use crate::common::{
    Proxy,
    book::{Book, b32},
    http::{all_protocols, ask},
    proxy_with_service,
    site::Site,
};

const OK: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\nOrigin: http://proxy.i2p\r\n";

/// A proxy with an address book, a site behind every stream, and two destinations.
struct Place {
    bridge: TestBridge,
    site: Site,
    book: Book,
    proxy: Proxy,
    one: String,
    other: String,
}

impl Place {
    async fn new(access: BookAccess) -> Self {
        Self::with(access, Isolate::default()).await
    }

    async fn with(access: BookAccess, isolate: Isolate) -> Self {
        let bridge = TestBridge::start().await;
        let [one, other] = ["one.i2p", "other.i2p"].map(|name| bridge.host(name, Endpoint::Echo));
        let site = Site::start(&bridge, OK).await;
        let book = Book::default();
        let shared = Arc::new(book.clone());
        let proxy = proxy_with_service(&bridge, |service| {
            let sessions = SessionPolicy { isolate, ..SessionPolicy::default() };
            service.with_access(all_protocols()).with_sessions(sessions).with_name_book(shared, access)
        })
        .await;
        Self { bridge, site, book, proxy, one, other }
    }

    /// The URL of a name, with what follows the host.
    fn url(&self, name: &str, rest: &str) -> String {
        format!("http://{name}:{}/{rest}", self.site.port)
    }

    /// The destinations that were dialled.
    fn dialled(&self) -> Vec<String> {
        let commands = self.bridge.commands().into_iter().filter(|line| line.starts_with("STREAM CONNECT"));
        let word = |line: String| {
            line.split(' ').find_map(|word| Some(word.strip_prefix("DESTINATION=")?.to_owned()))
        };
        commands.filter_map(word).collect()
    }

    /// Follows a link with an address helper to the page that asks. Returns its URL and the page.
    async fn question(&self, client: &mut TcpStream, url: &str) -> (String, String) {
        let (head, _) = ask(client, &get(url, BROWSER)).await;
        assert!(head.starts_with("HTTP/1.1 302 "), "{head}");
        let page = location(&head);
        assert!(page.starts_with("http://proxy.i2p/address?url=http%3A%2F%2F"), "{page}");
        let (head, html) = ask(client, &get(&page, BROWSER)).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}{html}");
        (page, html)
    }
}

fn get(url: &str, fields: &str) -> String {
    format!("GET {url} HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

fn location(head: &str) -> String {
    head.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap().to_owned()
}

/// A value of the form of a page, escaped for a form.
fn hidden(page: &str, name: &str) -> String {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
    let value = rest.split('"').next().unwrap().replace("&amp;", "&");
    value.replace('%', "%25").replace('&', "%26").replace('=', "%3D")
}

/// The form of a page with a choice.
fn form(page: &str, choice: &str) -> String {
    format!("url={}&token={}&choice={choice}", hidden(page, "url"), hidden(page, "token"))
}

fn post(body: &str, fields: &str) -> String {
    format!(
        "POST http://proxy.i2p/address HTTP/1.1\r\nHost: x\r\n{BROWSER}{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn b32_of(destination: &str) -> String {
    b32(&I2pName::parse(destination).unwrap()).to_string()
}

#[tokio::test]
async fn a_link_is_followed_once_after_the_person_has_agreed_and_by_nobody_else() {
    let place = Place::new(BookAccess::Nobody).await;
    let mut client = place.proxy.connect().await;
    let clean = place.url("new.i2p", "path?a=b&c");
    let link = place.url("new.i2p", &format!("path?a=b&i2paddresshelper={}&c", place.one));
    let (page, html) = place.question(&mut client, &link).await;
    for said in ["new.i2p", &b32_of(&place.one), "method=\"post\"", "Open it, and forget it soon"] {
        assert!(html.contains(said), "{said}: {html}");
    }
    assert!(!html.contains("value=\"keep\""), "{html}");
    let (head, _) = ask(&mut client, &get(&page, BROWSER)).await;
    for field in [
        &format!("form-action 'self' http://new.i2p:{};", place.site.port),
        "frame-ancestors 'none'",
        "X-Frame-Options: DENY",
        "Referrer-Policy: same-origin",
        "Cache-Control: no-store",
        "Cross-Origin-Resource-Policy: same-origin",
    ] {
        assert!(head.contains(field), "{field}: {head}");
    }
    assert!(!head.contains("Access-Control") && !head.contains("Set-Cookie"), "{head}");
    assert_eq!(place.dialled(), [""; 0], "nothing is opened before the choice");

    let (head, _) = ask(&mut client, &post(&form(&html, "once"), FORM)).await;
    assert!(head.starts_with("HTTP/1.1 303 "), "{head}");
    assert_eq!(location(&head), clean);
    let (head, body) = ask(&mut client, &get(&clean, BROWSER)).await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body == "ok", "{head}");
    assert_eq!(place.dialled(), std::slice::from_ref(&place.one));
    let seen = place.site.text(0);
    assert!(seen.starts_with("GET /path?a=b&c HTTP/1.1\r\nHost: new.i2p:"), "{seen}");
    // The same link again is no question any more.
    let (head, _) = ask(&mut client, &get(&link, BROWSER)).await;
    assert!(head.starts_with("HTTP/1.1 302 ") && location(&head) == clean, "{head}");
    // CONNECT and SOCKS of the same client know the name, another identity does not.
    let (_, code) = place.proxy.socks5("new.i2p", place.site.port).await;
    assert_eq!(code, 0);
    let credentials = format!("{BROWSER}Proxy-Authorization: Basic YTpi\r\n");
    let (head, _) = ask(&mut client, &get(&clean, &credentials)).await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    // A new identity does not either.
    place.proxy.pool.renew_all();
    let (head, _) = ask(&mut client, &get(&clean, BROWSER)).await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    assert_eq!(place.book.find("new.i2p"), None);
}

/// Otherwise, one client could send all others to a destination of its choice.
#[tokio::test]
async fn a_client_that_shares_its_identity_decides_for_nobody() {
    for access in [BookAccess::Nobody, BookAccess::Everybody] {
        let place = Place::with(access, Isolate::NONE).await;
        let mut client = place.proxy.connect().await;
        let link = place.url("new.i2p", &format!("?i2paddresshelper={}", place.one));
        let (_, html) = place.question(&mut client, &link).await;
        assert!(!html.contains("value=\"once\""), "{html}");
        assert_eq!(html.contains("<form"), access == BookAccess::Everybody, "{html}");
        if access == BookAccess::Everybody {
            let (head, _) = ask(&mut client, &post(&form(&html, "once"), FORM)).await;
            assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
        }
        let (head, _) = ask(&mut client, &get(&place.url("new.i2p", ""), BROWSER)).await;
        assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
        assert_eq!(place.dialled(), [""; 0]);
    }
}

#[tokio::test]
async fn a_name_is_kept_if_the_client_may_change_the_address_book() {
    let place = Place::new(BookAccess::Everybody).await;
    let mut client = place.proxy.connect().await;
    place.book.add("also.i2p", &place.one, NameOrigin::AddressBook);
    let link = place.url("removed.i2p", &format!("?i2paddresshelper={}", b32_of(&place.one)));
    let (_, html) = place.question(&mut client, &link).await;
    for said in ["Keep it in the address book", "also.i2p", "was removed from this name"] {
        assert!(html.contains(said), "{said}: {html}");
    }
    let (head, _) = ask(&mut client, &post(&form(&html, "keep"), FORM)).await;
    assert!(head.starts_with("HTTP/1.1 303 ") && location(&head) == place.url("removed.i2p", ""), "{head}");
    assert_eq!(place.book.find("removed.i2p"), Some(b32_of(&place.one)));
}

#[tokio::test]
async fn a_conflict_is_shown_with_both_destinations() {
    let place = Place::new(BookAccess::Everybody).await;
    let mut client = place.proxy.connect().await;
    place.book.add("known.i2p", &place.one, NameOrigin::AddressBook);
    let link = place.url("known.i2p", &format!("?i2paddresshelper={}", place.other));
    let (_, html) = place.question(&mut client, &link).await;
    for said in [
        "another destination",
        "In your address book",
        &b32_of(&place.one),
        &b32_of(&place.other),
        "Replace it in the address book",
        &format!("href=\"{}\"", place.url("known.i2p", "")),
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
    // What the person was shown is not what would be replaced.
    let shown = form(&html, "keep");
    let third = place.bridge.host("third.i2p", Endpoint::Echo);
    place.book.add("known.i2p", &third, NameOrigin::AddressBook);
    let (head, _) = ask(&mut client, &post(&shown, FORM)).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    place.book.add("known.i2p", &place.one, NameOrigin::AddressBook);
    let (head, _) = ask(&mut client, &post(&shown, FORM)).await;
    assert!(head.starts_with("HTTP/1.1 303 "), "{head}");
    assert_eq!(place.book.find("known.i2p"), Some(place.other.clone()));
    // What the configuration says is not in the address book's power.
    place.book.add("fixed.i2p", &place.one, NameOrigin::Configuration);
    let link = place.url("fixed.i2p", &format!("?i2paddresshelper={}", place.other));
    let (_, html) = place.question(&mut client, &link).await;
    assert!(html.contains("configuration") && !html.contains("value=\"keep\""), "{html}");
}

/// What a page in I2P could send, and what another client of the tunnel could.
#[tokio::test]
async fn a_choice_needs_the_token_of_the_page_and_comes_from_it() {
    let place = Place::new(BookAccess::Nobody).await;
    let mut client = place.proxy.connect().await;
    let link = |destination: &str| place.url("new.i2p", &format!("?i2paddresshelper={destination}"));
    let (page, html) = place.question(&mut client, &link(&place.one)).await;
    let credentials = "Proxy-Authorization: Basic YTpi\r\n";
    let (_, of_other) = ask(&mut client, &get(&page, &format!("{BROWSER}{credentials}"))).await;
    let once = form(&html, "once");
    let other_destination = once.replace(&place.one.replace('=', "%3D"), &place.other.replace('=', "%3D"));
    assert_ne!(other_destination, once);
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (request, status, why) in [
        (post(&once, &format!("{kind}Origin: http://new.i2p\r\n")), 403, "from the site itself"),
        (post(&once, &format!("{kind}Origin: null\r\n")), 403, "from a page that hides where it is"),
        (post(&once, &format!("{FORM}Sec-Fetch-Site: cross-site\r\n")), 403, "from another site"),
        (post(&once, &format!("{kind}Referer: http://new.i2p/\r\n")), 403, "from the site itself"),
        (post(&once.replace("token=", "token=0"), FORM), 403, "a token that was made up"),
        (post(&format!("url={}&choice=once", hidden(&html, "url")), FORM), 403, "no token"),
        (post(&other_destination, FORM), 403, "for another destination"),
        (post(&once.replace("new.i2p", "newer.i2p"), FORM), 403, "for another name"),
        (post(&form(&of_other, "once"), FORM), 403, "the token of another client"),
        (post(&form(&html, "keep"), FORM), 403, "not allowed to keep names"),
        (post(&form(&html, "other"), FORM), 400, "no such choice"),
        (post(&once, "Content-Type: text/plain\r\n"), 400, "no form"),
        (post(&format!("{once}&x={}", "y".repeat(40_000)), FORM), 400, "too long"),
        (get(&format!("http://proxy.i2p/address?{once}"), BROWSER), 200, "it only asks"),
        (get("http://proxy.i2p/address?url=http%3A%2F%2Fnew.i2p%2F", BROWSER), 400, "no address helper"),
        (get("http://proxy.i2p/address", BROWSER), 400, "no link"),
        (get(&page, BROWSER).replace("GET", "PUT"), 405, "neither asks nor sends a form"),
    ] {
        let mut client = place.proxy.connect().await;
        let (head, _) = ask(&mut client, &request).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{why}: {head}");
        assert!(!head.contains("Access-Control"), "{why}: {head}");
        let (head, _) = ask(&mut place.proxy.connect().await, &get(&place.url("new.i2p", ""), BROWSER)).await;
        assert!(head.starts_with("HTTP/1.1 404 "), "{why}: {head}");
    }
    assert_eq!(place.dialled(), [""; 0]);
    // Text browsers do not say where a form comes from.
    let (head, _) = ask(&mut client, &post(&once, kind)).await;
    assert!(head.starts_with("HTTP/1.1 303 "), "{head}");
}

#[tokio::test]
async fn what_is_known_needs_no_question_and_programs_get_text() {
    let place = Place::new(BookAccess::Everybody).await;
    let mut client = place.proxy.connect().await;
    place.book.add("one.i2p", &place.one, NameOrigin::Router);
    let link = place.url("one.i2p", &format!("x?i2paddresshelper={}", b32_of(&place.one)));
    let (head, _) = ask(&mut client, &get(&link, BROWSER)).await;
    assert!(head.starts_with("HTTP/1.1 302 ") && location(&head) == place.url("one.i2p", "x"), "{head}");
    assert_eq!(place.dialled(), [""; 0]);
    let (head, body) = ask(&mut client, &get(&link, "Accept: */*\r\n")).await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body == "ok", "{head}");
    assert!(place.site.text(0).starts_with("GET /x HTTP/1.1\r\n"), "{}", place.site.text(0));
    for (name, replace, says) in
        [("new.i2p", "", "no address book"), ("one.i2p", " --replace", &b32_of(&place.one))]
    {
        let link = place.url(name, &format!("?i2paddresshelper={}", place.other));
        let (head, text) = ask(&mut client, &get(&link, "")).await;
        assert!(head.starts_with("HTTP/1.1 409 ") && head.contains("text/plain"), "{head}");
        assert!(text.contains(&format!("i2p-socks names add{replace} {name} {}", place.other)), "{text}");
        assert!(text.contains(says) && text.contains(&b32_of(&place.other)), "{text}");
        // A form that a person sends there would lose what is in it.
        let request = format!("POST {link} HTTP/1.1\r\nHost: x\r\n{BROWSER}Content-Length: 1\r\n\r\na");
        let (head, page) = ask(&mut client, &request).await;
        assert!(
            head.starts_with("HTTP/1.1 409 ") && page.contains("http://proxy.i2p/address?url="),
            "{head}{page}"
        );
    }
    // The address book cannot change what the configuration says.
    place.book.add("fixed.i2p", &place.one, NameOrigin::Configuration);
    let link = place.url("fixed.i2p", &format!("?i2paddresshelper={}", place.other));
    let (_, text) = ask(&mut client, &get(&link, "")).await;
    let itself = format!("http://{}/", b32_of(&place.other));
    assert!(text.contains(&itself) && !text.contains("names add"), "{text}");
    assert_eq!(place.dialled().len(), 1);
}

#[tokio::test]
async fn helpers_that_say_nothing_of_a_name_are_dropped_or_refused() {
    let place = Place::new(BookAccess::Everybody).await;
    let mut client = place.proxy.connect().await;
    let b32 = b32_of(&place.one);
    let url = place.url(&b32, &format!("?i2paddresshelper={}&a=b", place.other));
    let (head, _) = ask(&mut client, &get(&url, BROWSER)).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(place.site.text(0).starts_with("GET /?a=b HTTP/1.1\r\n"), "{}", place.site.text(0));
    assert_eq!(place.dialled(), std::slice::from_ref(&b32));
    for (name, query, status) in [
        ("new.i2p", format!("?i2paddresshelper={b32}&i2paddresshelper={b32}"), "400"),
        ("new.i2p", "?i2paddresshelper=".to_owned(), "400"),
        ("new.i2p", "?i2paddresshelper=one.i2p".to_owned(), "400"),
        ("router.i2p", format!("?i2paddresshelper={b32}"), "403"),
        ("a.proxy.i2p", format!("?i2paddresshelper={b32}"), "403"),
        // Refused as without a helper.
        ("example.com", format!("?i2paddresshelper={b32}"), "403"),
    ] {
        for fields in [BROWSER, ""] {
            let (head, _) = ask(&mut client, &get(&place.url(name, &query), fields)).await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{name}{query}: {head}");
        }
        let page = format!("http://proxy.i2p/address?url={}", place.url(name, &query).replace('&', "%26"));
        let (head, _) = ask(&mut client, &get(&page, BROWSER)).await;
        assert!(head.starts_with("HTTP/1.1 40"), "{page}: {head}");
    }
    assert_eq!(place.dialled().len(), 1);
}
