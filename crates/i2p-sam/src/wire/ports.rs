use super::line::{Line, Malformed};

/// The I2CP ports of a stream or datagram; 0 is "any" or "not given".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ports {
    /// `FROM_PORT`: the sender's port.
    pub from: u16,
    /// `TO_PORT`: the receiver's port.
    pub to: u16,
}

impl Ports {
    /// From any port to this one.
    #[must_use]
    pub fn to(port: u16) -> Self {
        Self { from: 0, to: port }
    }

    /// The ports in a line; 0 where it has none.
    pub(super) fn in_line(line: &Line<'_>) -> Result<Self, Malformed> {
        let port = |key| line.number(key).map(Option::unwrap_or_default);
        Ok(Self { from: port("FROM_PORT")?, to: port("TO_PORT")? })
    }

    /// The ports among words of the form `key=value`; other keys are skipped.
    pub(super) fn in_words<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, Malformed> {
        let mut ports = Self::default();
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let port = match key {
                "FROM_PORT" => &mut ports.from,
                "TO_PORT" => &mut ports.to,
                _ => continue,
            };
            *port = value.parse().map_err(|_| Malformed)?;
        }
        Ok(ports)
    }
}
