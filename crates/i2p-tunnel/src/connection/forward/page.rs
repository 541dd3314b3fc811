//! The pages of the proxy: as HTML for people, which needs no script and nothing from elsewhere, and as text for programs.

use std::sync::LazyLock;

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

/// Readable without it. Colours follow the system. Buttons wait a moment before they can be clicked, so that a page which closes itself
/// under a double click does not have the second one land on them.
const STYLE: &str = ":root{color-scheme:light dark}\
body{font:1.1rem/1.5 system-ui,sans-serif;max-width:38rem;margin:10vh auto;padding:0 1rem}\
h1{font-size:1.5rem;line-height:1.25}small{opacity:.75}dt{font-weight:600}dd{margin:0 0 .75rem;overflow-wrap:anywhere}\
button{font:inherit;padding:.4rem .8rem;margin:0 .5rem .5rem 0;animation:arm 1s steps(1,end)}\
@keyframes arm{from{pointer-events:none;opacity:.4}}";

/// The policy of a page: nothing is loaded or run, except for this style, and no site can show the page in a frame. `forms` is where
/// its forms may lead.
pub(super) fn content_security_policy(forms: Option<&str>) -> String {
    static HASH: LazyLock<String> = LazyLock::new(|| BASE64.encode(&Sha256::digest(STYLE)));
    let (hash, forms) = (&*HASH, forms.unwrap_or("'none'"));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action {forms}; frame-ancestors 'none'"
    )
}

/// What a page says.
#[derive(Default)]
pub(super) struct Page<'a> {
    pub(super) title: &'a str,
    pub(super) what: &'a str,
    pub(super) hint: &'a str,
    /// What experts look up in the documentation.
    pub(super) code: &'a str,
    /// Whether it loads itself again.
    pub(super) reloads: bool,
    /// What else it shows.
    pub(super) more: &'a [Block],
    /// Where its forms may lead, in the words of a `Content-Security-Policy`; `None` without forms.
    pub(super) forms: Option<&'a str>,
}

/// A part of a page. All texts are escaped when it is printed.
pub(super) enum Block {
    /// Names with their values.
    Facts(Vec<(&'static str, String)>),
    /// A text and links.
    Links(&'static str, Vec<Link>),
    Form(Form),
}

/// A link that a person may follow.
#[derive(Default)]
pub(super) struct Link {
    pub(super) text: String,
    pub(super) url: String,
    /// What stands below it.
    pub(super) note: String,
}

/// A form whose buttons send a choice.
pub(super) struct Form {
    /// The path that it is sent to.
    pub(super) action: &'static str,
    /// Whether it only asks for a page.
    pub(super) asks: bool,
    /// The name, the label and the value of a text that people type.
    pub(super) field: Option<(&'static str, &'static str, String)>,
    pub(super) hidden: Vec<(&'static str, String)>,
    /// The values of `choice` with what the buttons say.
    pub(super) buttons: Vec<(&'static str, &'static str)>,
}

impl Page<'_> {
    /// What programs get.
    pub(super) fn text(&self) -> String {
        let more: String = self.more.iter().map(Block::text).collect();
        format!("i2p-socks: {}.\n{}\n{more}", self.what, self.hint)
    }

    pub(super) fn html(&self) -> String {
        let Self { title, what, hint, code, reloads, more, .. } = self;
        let (title, what, hint, code) = (escaped(title), sentence(what), escaped(hint), escaped(code));
        let reload = match reloads {
            true => "<p>This page loads itself again until the site can be opened.</p>\n",
            false => "",
        };
        let more: String = more.iter().map(Block::html).collect();
        format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <title>{title}</title><style>{STYLE}</style>\n\
             <h1>{title}</h1>\n<p>{what}</p>\n<p>{hint}</p>\n{reload}{more}\
             <p><small>This page comes from i2p-socks, your proxy, and not from the site. {code}</small></p>\n"
        )
    }
}

impl Block {
    /// Forms are left out: a program sends none.
    fn text(&self) -> String {
        match self {
            Self::Facts(facts) => facts.iter().map(|(name, value)| format!("{name}: {value}\n")).collect(),
            Self::Links(intro, links) => {
                std::iter::once(format!("{intro}\n")).chain(links.iter().map(Link::text)).collect()
            }
            Self::Form(_) => String::new(),
        }
    }

    fn html(&self) -> String {
        match self {
            Self::Facts(facts) => {
                let facts: String = facts
                    .iter()
                    .map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>\n", escaped(name), escaped(value)))
                    .collect();
                format!("<dl>\n{facts}</dl>\n")
            }
            Self::Links(intro, links) => {
                let links: String = links.iter().map(Link::html).collect();
                format!("<p>{}</p>\n<ul>\n{links}</ul>\n", escaped(intro))
            }
            Self::Form(form) => form.html(),
        }
    }
}

impl Link {
    fn text(&self) -> String {
        let Self { text, url, note } = self;
        // A path is one of the proxy's own site.
        let site = if url.starts_with('/') { "http://proxy.i2p" } else { "" };
        let note = if note.is_empty() { String::new() } else { format!("  {note}\n") };
        format!("{text}: {site}{url}\n{note}")
    }

    fn html(&self) -> String {
        let (text, url) = (escaped(&self.text), escaped(&self.url));
        let note = match self.note.as_str() {
            "" => String::new(),
            note => format!("<br><small>{}</small>", escaped(note)),
        };
        format!("<li><a rel=\"noreferrer\" href=\"{url}\">{text}</a>{note}</li>\n")
    }
}

impl Form {
    fn html(&self) -> String {
        let hidden = self.hidden.iter().map(|(name, value)| {
            format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", escaped(name), escaped(value))
        });
        let buttons = self.buttons.iter().map(|(value, text)| {
            format!("<button name=\"choice\" value=\"{}\">{}</button>\n", escaped(value), escaped(text))
        });
        let field = self.field.as_ref().map(|(name, label, value)| {
            let (name, label, value) = (escaped(name), escaped(label), escaped(value));
            format!("<p><label>{label} <input name=\"{name}\" value=\"{value}\"></label></p>\n")
        });
        let (action, field) = (escaped(self.action), field.unwrap_or_default());
        let (hidden, buttons) = (hidden.collect::<String>(), buttons.collect::<String>());
        let method = if self.asks { "get" } else { "post" };
        format!("<form method=\"{method}\" action=\"{action}\">{hidden}\n{field}{buttons}</form>\n")
    }
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
    fn links_of_a_text_have_their_addresses() {
        let link = |url: &str| Link { text: "A".to_owned(), url: url.to_owned(), note: "b".to_owned() };
        let more = [Block::Links("More:", vec![link("/c"), link("http://d.i2p/")])];
        let page = Page { what: "e", hint: "F.", more: &more, ..Page::default() };
        let text = "i2p-socks: e.\nF.\nMore:\nA: http://proxy.i2p/c\n  b\nA: http://d.i2p/\n  b\n";
        assert_eq!(page.text(), text);
    }

    #[test]
    fn nothing_of_a_page_is_markup_but_its_own() {
        let evil = "<script>'\"&";
        let link = Link {
            text: evil.to_owned(),
            url: "http://jump.i2p/?a=\"><script>".to_owned(),
            note: evil.to_owned(),
        };
        let form = Form {
            action: evil,
            asks: false,
            field: Some((evil, evil, evil.to_owned())),
            hidden: vec![(evil, evil.to_owned())],
            buttons: vec![(evil, evil)],
        };
        let more =
            [Block::Facts(vec![(evil, evil.to_owned())]), Block::Links(evil, vec![link]), Block::Form(form)];
        let page =
            Page { title: evil, what: evil, hint: evil, code: evil, reloads: true, more: &more, forms: None };
        let html = page.html();
        assert!(!html.contains("<script") && !html.contains("a=\"") && !html.contains("'\"&"), "{html}");
        assert_eq!(html.matches("&lt;script&gt;").count(), 19, "{html}");
    }
}
