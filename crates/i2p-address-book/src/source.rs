use std::fmt;

/// The longest text of a source in bytes.
const MAX_SOURCE: usize = 200;

/// Where an entry came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// A person added it. No feed and no command changes such an entry.
    Hand,
    /// A file or a subscription.
    Feed(FeedName),
}

impl Source {
    /// A file or a subscription, such as `hosts.txt` or its URL. See [`FeedName::new`].
    #[must_use]
    pub fn feed(text: &str) -> Self {
        Self::Feed(FeedName::new(text))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hand => "added by hand",
            Self::Feed(name) => name.as_str(),
        })
    }
}

/// What a feed is called. Safe to print: it holds no character that controls a terminal or turns text around.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FeedName(String);

impl FeedName {
    /// At most 200 bytes of `text`, with every control character, line separator and change of direction replaced
    /// by U+FFFD.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut name = String::new();
        for c in text.chars().map(|c| if is_unsafe(c) { char::REPLACEMENT_CHARACTER } else { c }) {
            if name.len() + c.len_utf8() > MAX_SOURCE {
                break;
            }
            name.push(c);
        }
        Self(name)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters, and those of the categories Zl, Zp and Cf that change how the rest of a line looks.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
