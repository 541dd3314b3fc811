use super::{
    Verdict, Via, origin,
    rules::{self, Field},
};

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
        let Some(field) = rules::of_request(name) else { return Verdict::Pass };
        match field {
            Field::Drop(_) => Verdict::Drop,
            Field::UserAgent => Verdict::Replace(self.via.user_agent().as_bytes()),
            Field::Accept => accept(value),
            Field::Referer => origin::path_of(value, self.authority).map_or(Verdict::Drop, Verdict::Replace),
            Field::Origin => self.origin(value),
            Field::Authorization => authorization(value),
            Field::RequestedWith if value == b"XMLHttpRequest" => Verdict::Pass,
            Field::RequestedWith => Verdict::Drop,
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
