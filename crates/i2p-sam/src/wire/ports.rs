use super::line::{Line, Malformed};

/// The I2CP ports of a stream or datagram; 0 is "any" or "not said".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ports {
    /// `FROM_PORT`: the sender's.
    pub from: u16,
    /// `TO_PORT`: the receiver's.
    pub to: u16,
}

impl Ports {
    /// From any port to this one.
    #[must_use]
    pub fn to(port: u16) -> Self {
        Self { from: 0, to: port }
    }

    pub(super) fn of(line: &Line<'_>) -> Result<Self, Malformed> {
        let port = |key| line.number(key).map(Option::unwrap_or_default);
        Ok(Self { from: port("FROM_PORT")?, to: port("TO_PORT")? })
    }

    /// The ports among words that are all pairs; other pairs are skipped.
    pub(super) fn among<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, Malformed> {
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
