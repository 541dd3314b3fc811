//! The proxy's own pages, for people. They need no script, and nothing from elsewhere.

use std::sync::LazyLock;

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

/// Readable without it. Colours follow the system.
const STYLE: &str = ":root{color-scheme:light dark}\
body{font:1.1rem/1.5 system-ui,sans-serif;max-width:38rem;margin:10vh auto;padding:0 1rem}\
h1{font-size:1.5rem;line-height:1.25}small{opacity:.75}";

/// Nothing is loaded or run, except for this style. No site can show the page in a frame.
pub(super) static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = BASE64.encode(&Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// What a page says.
pub(super) struct Page<'a> {
    pub(super) title: &'a str,
    pub(super) what: &'a str,
    pub(super) hint: &'a str,
    /// What experts look up in the documentation.
    pub(super) code: &'a str,
    /// Whether it loads itself again.
    pub(super) reloads: bool,
    /// Services that may know the name: host of the service, URL that asks it.
    pub(super) services: &'a [(String, String)],
}

impl Page<'_> {
    pub(super) fn html(&self) -> String {
        let Self { title, what, hint, code, reloads, services } = self;
        let (title, what, hint, code) = (escaped(title), sentence(what), escaped(hint), escaped(code));
        let reload = match reloads {
            true => "<p>This page loads itself again until the site can be opened.</p>\n",
            false => "",
        };
        let services = links(services);
        format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <title>{title}</title><style>{STYLE}</style>\n\
             <h1>{title}</h1>\n<p>{what}</p>\n<p>{hint}</p>\n{reload}{services}\
             <p><small>This page comes from i2p-socks, your proxy, and not from the site. {code}</small></p>\n"
        )
    }
}

/// Links to services. None is asked before the person follows one.
fn links(services: &[(String, String)]) -> String {
    if services.is_empty() {
        return String::new();
    }
    let items: String = services
        .iter()
        .map(|(host, url)| {
            let (host, url) = (escaped(host), escaped(url));
            format!("<li><a rel=\"noreferrer\" href=\"{url}\">{host}</a></li>\n")
        })
        .collect();
    format!(
        "<p>A jump service may know the address. It learns the name that you ask for:</p>\n<ul>\n{items}</ul>\n"
    )
}

/// Makes a sentence of a text for the log.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{}{}.", escaped(&first), escaped(letters.as_str()))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_page_is_markup_but_its_own() {
        let services = [("<b>".to_owned(), "http://jump.i2p/?a=\"><script>".to_owned())];
        let evil = "<script>'\"&";
        let page =
            Page { title: evil, what: evil, hint: evil, code: evil, reloads: true, services: &services };
        let html = page.html();
        assert!(!html.contains("<script") && !html.contains("<b>") && !html.contains("a=\""), "{html}");
        assert_eq!(html.matches("&lt;script&gt;").count(), 6, "{html}");
    }
}
