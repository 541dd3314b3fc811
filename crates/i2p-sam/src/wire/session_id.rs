/// The ID of a session. It must be unique on the bridge, so it is random. It holds letters, digits and `-` only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    /// Makes a random ID of 80 bits.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0_u8; 10];
        getrandom::fill(&mut bytes)?;
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(format!("i2p-socks-{digits}")))
    }

    /// The ID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_are_random_and_plain() {
        let (a, b) = (SessionId::random().unwrap(), SessionId::random().unwrap());
        assert_ne!(a, b);
        assert!(a.as_str().bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-'));
    }
}
