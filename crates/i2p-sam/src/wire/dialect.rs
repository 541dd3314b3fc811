use std::fmt;

use zeroize::Zeroizing;

/// How a bridge reads lines. Routers differ in the lines that they understand, not only in those that they send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// As specified: quotes and escapes, lines of 8,191 bytes. Java I2P, and every router that is not recognised.
    Standard,
    /// i2pd: no quotes and no escapes, so that a value cannot hold a blank; lines of 8,191 bytes.
    I2pd,
    /// emissary: quotes are understood, and escapes are not decoded; lines of 4,095 bytes.
    Emissary,
}

impl Dialect {
    /// The longest line that the bridge reads, in bytes, with its newline.
    #[must_use]
    pub fn max_line(self) -> usize {
        match self {
            Self::Standard | Self::I2pd => 8191,
            Self::Emissary => 4095,
        }
    }

    /// Whether a value may be quoted.
    #[must_use]
    pub fn quotes(self) -> bool {
        !matches!(self, Self::I2pd)
    }

    /// Whether `\"` and `\\` within quotes are decoded.
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

/// Why a command cannot be written in a dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A value needs quotes, or escapes within them, and the bridge does not understand them.
    #[error("{key} holds a blank, a quote or a backslash, which this router does not understand")]
    Quotes {
        /// The key of the value.
        key: &'static str,
    },
    /// The line would be longer than the bridge reads.
    #[error("it is {length} bytes long, and the router reads at most {limit}")]
    TooLong {
        /// The line's length in bytes.
        length: usize,
        /// [`Dialect::max_line`].
        limit: usize,
    },
}

/// Writes one line. It takes typed values only, so that no value can become a pair or a line of its own.
///
/// The text is wiped from memory when dropped: it may hold keys and passwords.
#[derive(Debug)]
pub(super) struct LineWriter {
    dialect: Dialect,
    text: Zeroizing<String>,
}

impl LineWriter {
    /// Starts a line with these words.
    pub(super) fn new(dialect: Dialect, words: &'static str) -> Self {
        // Private keys fill about 1,300 bytes. A string that grows leaves copies behind that are not wiped.
        let mut text = Zeroizing::new(String::with_capacity(2048));
        text.push_str(words);
        Self { dialect, text }
    }

    /// The dialect in which the line is written.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Adds a pair whose value never needs quotes: a number, or a name or key of a type that guarantees it.
    pub(super) fn plain(mut self, key: &str, value: impl fmt::Display) -> Self {
        use fmt::Write;
        // Writing to a String does not fail.
        let _ = write!(self.text, " {key}={value}");
        self
    }

    /// Adds a pair as [`LineWriter::plain`] does, if there is a value.
    pub(super) fn plain_if(self, key: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.plain(key, value),
            None => self,
        }
    }

    /// Adds a pair whose value may need quotes.
    pub(super) fn quoted(mut self, key: &'static str, value: &Text) -> Result<Self, EncodeError> {
        let value = value.as_str();
        let blank = value.is_empty() || value.contains(' ');
        let special = value.contains(['"', '\\']);
        if (blank && !self.dialect.quotes()) || (special && !self.dialect.escapes()) {
            return Err(EncodeError::Quotes { key });
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

    /// Returns the line with its newline.
    pub(super) fn end(mut self) -> Result<Zeroizing<String>, EncodeError> {
        self.text.push('\n');
        let (length, limit) = (self.text.len(), self.dialect.max_line());
        if length > limit {
            return Err(EncodeError::TooLong { length, limit });
        }
        Ok(self.text)
    }
}

/// A value of a pair: printable ASCII of at most 255 bytes, which is the limit of an I2CP mapping. Wiped from memory when
/// dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Zeroizing<String>);

impl Text {
    /// Checks that the value can be sent.
    ///
    /// # Errors
    /// [`InvalidText`] for characters other than `U+0020` to `U+007E`, a line break among them, and for more than 255 of them.
    pub fn new(value: impl Into<String>) -> Result<Self, InvalidText> {
        let value = Zeroizing::new(value.into());
        match value.len() <= 255 && value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            true => Ok(Self(value)),
            false => Err(InvalidText),
        }
    }

    /// The value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Does not print the value: it may be a password.
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(..)")
    }
}

/// The error for a value that cannot be sent in a SAM line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a router takes at most 255 printable ASCII characters")]
pub struct InvalidText;
