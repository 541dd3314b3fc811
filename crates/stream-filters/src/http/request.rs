use super::{Verdict, Via, origin};

/// Fields that name the program, the person or the machine, and that no site needs.
const DROPPED: [&str; 37] = [
    // Of the person.
    "from",
    "accept-charset",
    "accept-language",
    "accept-datetime",
    "dnt",
    "sec-gpc",
    "save-data",
    "date",
    // Of the machine and the connection.
    "device-memory",
    "downlink",
    "dpr",
    "ect",
    "rtt",
    "viewport-width",
    "width",
    "wap-profile",
    "x-wap-profile",
    "x-uidh",
    "x-client-data",
    "x-forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-originating-ip",
    "x-remote-ip",
    "x-remote-addr",
    "client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "forwarded",
    "forwarded-for",
    "via",
    // Of the browser, which sends them to some sites and not to others.
    "priority",
    "purpose",
    "x-moz",
    "upgrade-insecure-requests",
    "x-purpose",
];

/// Beginnings of names of such fields.
const DROPPED_BEGINNINGS: [&str; 4] = ["sec-ch-", "sec-fetch-", "sec-purpose", "x-forwarded-"];

/// What browsers send when a person goes to a page.
const ACCEPT_PAGE: &[u8] = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
/// What they send for pictures.
const ACCEPT_PICTURE: &[u8] = b"image/*,*/*;q=0.8";

/// A request on its way to a site.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// How it reaches the site.
    pub via: Via,
    /// The host, with its port unless that is 80, as the client asked for it. URLs that begin with it are of the same site.
    pub authority: &'a str,
}

impl Request<'_> {
    /// Decides on a field.
    #[must_use]
    pub fn field<'v>(&self, name: &str, value: &'v [u8]) -> Verdict<'v> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if DROPPED.iter().any(|dropped| is(dropped)) || has_dropped_beginning(name) {
            Verdict::Drop
        } else if is("user-agent") {
            Verdict::Replace(self.via.user_agent().as_bytes())
        } else if is("accept") {
            accept(value)
        } else if is("referer") {
            origin::path_of(value, self.authority).map_or(Verdict::Drop, Verdict::Replace)
        } else if is("origin") {
            self.origin(value)
        } else if is("authorization") {
            authorization(value)
        } else if is("x-requested-with") {
            // Scripts say this word. Web views of Android name the app.
            if value == b"XMLHttpRequest" { Verdict::Pass } else { Verdict::Drop }
        } else {
            Verdict::Pass
        }
    }

    /// A site has to learn that a request comes from elsewhere, or it could not tell a forged one; but not from where.
    fn origin<'v>(&self, value: &'v [u8]) -> Verdict<'v> {
        match origin::is_of(value, self.authority) {
            true => Verdict::OwnOrigin,
            false => Verdict::Replace(b"null"),
        }
    }
}

fn has_dropped_beginning(name: &str) -> bool {
    DROPPED_BEGINNINGS.iter().any(|beginning| {
        let given = name.as_bytes().get(..beginning.len());
        given.is_some_and(|given| given.eq_ignore_ascii_case(beginning.as_bytes()))
    })
}

/// Browsers differ in what they list. Programs that ask for a certain type, such as `application/json`, get that.
fn accept(value: &[u8]) -> Verdict<'_> {
    if contains(value, b"text/html") {
        Verdict::Replace(ACCEPT_PAGE)
    } else if value.len() >= 6 && value.starts_with(b"image/") && contains(value, b",") {
        Verdict::Replace(ACCEPT_PICTURE)
    } else {
        Verdict::Pass
    }
}

/// NTLM and Kerberos name the machine, its domain and the user.
fn authorization(value: &[u8]) -> Verdict<'_> {
    let scheme = value.split(|&byte| byte == b' ').next().unwrap_or_default();
    let names = [&b"NTLM"[..], b"Negotiate", b"Kerberos"];
    match names.iter().any(|name| scheme.eq_ignore_ascii_case(name)) {
        true => Verdict::Drop,
        false => Verdict::Pass,
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}
