use std::fmt;

/// Bytes of the longest name of a feed.
const MAX_FEED_NAME_BYTES: usize = 200;

/// The origin of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// The user added the entry. No feed and no command changes it.
    Hand,
    /// A file or a subscription.
    Feed(FeedName),
}

impl Source {
    /// Makes the source for a file or a subscription, such as `hosts.txt` or a URL. See [`FeedName::new`].
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

/// The name of a feed. It is safe to print: it contains no characters that control a terminal or change the text direction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FeedName(String);

impl FeedName {
    /// Makes a name of at most 200 bytes of `text`. Control characters, line separators and characters that change the text
    /// direction are replaced by U+FFFD.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut name = String::new();
        for c in text.chars().map(|c| if is_unsafe(c) { char::REPLACEMENT_CHARACTER } else { c }) {
            if name.len() + c.len_utf8() > MAX_FEED_NAME_BYTES {
                break;
            }
            name.push(c);
        }
        Self(name)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a character is a control character, or one of the categories Zl, Zp and Cf that changes how the rest of a line is
/// displayed.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
