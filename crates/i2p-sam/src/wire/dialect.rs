use std::fmt;

use zeroize::Zeroizing;

/// How a bridge reads lines. Routers differ in what they can be told, not only in what they answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// The specification: quotes and escapes, lines of 8,191 bytes. Java I2P and whatever is built after it.
    Standard,
    /// i2pd: no quotes and no escapes, so a value with a blank cannot be said; lines of 8,191 bytes.
    I2pd,
    /// emissary: quotes are understood and escapes are not taken out; lines of 4,095 bytes.
    Emissary,
}

impl Dialect {
    /// The longest line that the bridge takes, in bytes, newline included.
    #[must_use]
    pub fn max_line(self) -> usize {
        match self {
            Self::Standard | Self::I2pd => 8191,
            Self::Emissary => 4095,
        }
    }

    /// Whether a value may stand in quotes.
    #[must_use]
    pub fn quotes(self) -> bool {
        !matches!(self, Self::I2pd)
    }

    /// Whether `\"` and `\\` within quotes are taken for what they mean.
    #[must_use]
    pub fn escapes(self) -> bool {
        matches!(self, Self::Standard)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standard => "standard (Java I2P)",
            Self::I2pd => "i2pd",
            Self::Emissary => "emissary",
        })
    }
}

/// A command that a bridge of this dialect has no words for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unspeakable {
    /// A value needs quotes, or escapes within them, and the bridge knows none.
    #[error("{key} holds a blank, a quote or a backslash, which this router has no way to be told")]
    Quotes {
        /// The key of the value.
        key: &'static str,
    },
    /// The line would be longer than the bridge reads.
    #[error("the command is {length} bytes long, and this router reads no more than {limit}")]
    TooLong {
        /// The line's length in bytes.
        length: usize,
        /// [`Dialect::max_line`].
        limit: usize,
    },
}

/// Puts one line together. Only typed values get in, so that no value becomes a pair or a line of its own.
///
/// The text is wiped from memory with the line: it may hold keys and passwords.
#[derive(Debug)]
pub(super) struct LineWriter {
    dialect: Dialect,
    text: Zeroizing<String>,
}

impl LineWriter {
    /// A line that begins with these words.
    pub(super) fn new(dialect: Dialect, words: &'static str) -> Self {
        // Private keys fill about 1,300 bytes. Growing would leave copies behind that nobody wipes.
        let mut text = Zeroizing::new(String::with_capacity(2048));
        text.push_str(words);
        Self { dialect, text }
    }

    /// Who reads it.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// A pair whose value is known to be plain: numbers, names and keys of types that admit nothing else.
    pub(super) fn plain(mut self, key: &str, value: impl fmt::Display) -> Self {
        use fmt::Write;
        // Writing to a String does not fail.
        let _ = write!(self.text, " {key}={value}");
        self
    }

    /// As [`LineWriter::plain`], where there is a value.
    pub(super) fn plain_if(self, key: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.plain(key, value),
            None => self,
        }
    }

    /// A pair whose value may need quotes.
    pub(super) fn quoted(mut self, key: &'static str, value: &Text) -> Result<Self, Unspeakable> {
        let value = value.as_str();
        let blank = value.is_empty() || value.contains(' ');
        let special = value.contains(['"', '\\']);
        if (blank && !self.dialect.quotes()) || (special && !self.dialect.escapes()) {
            return Err(Unspeakable::Quotes { key });
        }
        if !blank && !special {
            return Ok(self.plain(key, value));
        }
        self = self.plain(key, '"');
        for character in value.chars() {
            if matches!(character, '"' | '\\') {
                self.text.push('\\');
            }
            self.text.push(character);
        }
        self.text.push('"');
        Ok(self)
    }

    /// The line, newline included.
    pub(super) fn end(mut self) -> Result<Zeroizing<String>, Unspeakable> {
        self.text.push('\n');
        let (length, limit) = (self.text.len(), self.dialect.max_line());
        if length > limit {
            return Err(Unspeakable::TooLong { length, limit });
        }
        Ok(self.text)
    }
}

/// A value that may stand in a line: printable ASCII, of at most 255 bytes (the limit of an I2CP mapping). Wiped from
/// memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Zeroizing<String>);

impl Text {
    /// The value, if it can stand in a line.
    ///
    /// # Errors
    /// [`NotText`] for other characters than `U+0020` to `U+007E`, and beyond 255 of them. A line break is one of
    /// them: no grammar of SAM can express it.
    pub fn new(value: impl Into<String>) -> Result<Self, NotText> {
        let value = Zeroizing::new(value.into());
        match value.len() <= 255 && value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            true => Ok(Self(value)),
            false => Err(NotText),
        }
    }

    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Without the value: it may be a password.
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(..)")
    }
}

/// A value that cannot stand in a SAM line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only printable ASCII characters, at most 255 of them, can be told to a router")]
pub struct NotText;
