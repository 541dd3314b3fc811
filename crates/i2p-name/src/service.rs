use alloc::{string::String, vec::Vec};

use crate::{error::NameError, target::I2pName};

/// Bytes of the longest value of a lease set's option (common structures, "Mapping").
const MAX_OPTION_VALUE_BYTES: usize = 255;

/// Where a service is offered: one record of the option `_service._tcp` or `_service._udp` of a lease set (proposal 167).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRecord {
    /// How long the record may be cached, in seconds.
    pub ttl: u32,
    /// The name that offers the service; `None`: the name that was looked up.
    pub at: Option<ServiceTarget>,
    /// The I2CP port.
    pub port: u16,
    /// Free text of the service about its use, without blanks and commas.
    pub app: Option<String>,
}

/// Another name that offers a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceTarget {
    /// The name.
    pub name: I2pName,
    /// Clients try the lowest priority first.
    pub priority: u16,
    /// The share of clients that choose this record among those of one priority.
    pub weight: u16,
}

impl ServiceRecord {
    /// Parses the records in an option's value, which commas separate. A record is `0 TTL PORT [APP]` for the name itself, or
    /// `1 TTL PRIORITY WEIGHT PORT TARGET [APP]` for another name. The first word of the second form may be missing, as in an
    /// example of the proposal.
    ///
    /// # Errors
    /// [`NameError::MalformedService`] for other forms, and for values of more than 255 bytes; the errors of
    /// [`I2pName::parse`] for the target.
    pub fn parse_all(value: &str) -> Result<Vec<Self>, NameError> {
        if value.len() > MAX_OPTION_VALUE_BYTES {
            return Err(NameError::MalformedService);
        }
        value.split(',').map(Self::parse).collect()
    }

    fn parse(record: &str) -> Result<Self, NameError> {
        let words: Vec<&str> = record.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["0", ttl, port] => Self::own(ttl, port, None),
            ["0", ttl, port, app] => Self::own(ttl, port, Some(app)),
            ["1", ttl, priority, weight, port, target] | [ttl, priority, weight, port, target] => {
                Self::elsewhere(ttl, [priority, weight, port], target, None)
            }
            ["1", ttl, priority, weight, port, target, app] => {
                Self::elsewhere(ttl, [priority, weight, port], target, Some(app))
            }
            _ => Err(NameError::MalformedService),
        }
    }

    fn own(ttl: &str, port: &str, app: Option<&str>) -> Result<Self, NameError> {
        Ok(Self { ttl: number(ttl)?, at: None, port: number(port)?, app: plain(app)? })
    }

    fn elsewhere(
        ttl: &str,
        [priority, weight, port]: [&str; 3],
        target: &str,
        app: Option<&str>,
    ) -> Result<Self, NameError> {
        let name = I2pName::parse(target)?;
        let at = ServiceTarget { name, priority: number(priority)?, weight: number(weight)? };
        Ok(Self { ttl: number(ttl)?, at: Some(at), port: number(port)?, app: plain(app)? })
    }
}

fn number<T: core::str::FromStr>(text: &str) -> Result<T, NameError> {
    // `parse` alone would accept a plus sign.
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse().map_err(|_| NameError::MalformedService),
        false => Err(NameError::MalformedService),
    }
}

fn plain(app: Option<&str>) -> Result<Option<String>, NameError> {
    match app {
        Some(app) if !app.bytes().all(|byte| byte.is_ascii_graphic()) => Err(NameError::MalformedService),
        app => Ok(app.map(String::from)),
    }
}

/// Whether an option of a lease set describes a service: `_service._tcp` (streams) or `_service._udp` (repliable datagrams).
#[must_use]
pub fn is_service(option: &str) -> bool {
    let Some((service, protocol)) = option.rsplit_once("._") else { return false };
    let name = service.strip_prefix('_').unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    matches!(protocol, "tcp" | "udp") && !name.is_empty() && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn both_forms_of_the_proposal_are_parsed() {
        let own = ServiceRecord::parse_all("0 86400 25").unwrap();
        assert_eq!(own, [ServiceRecord { ttl: 86400, at: None, port: 25, app: None }]);
        let b32 = format!("{}.b32.i2p", "a".repeat(52));
        for value in [
            format!("1 3600 10 5 443 {b32} web,1 1 2 3 4 mail.i2p"),
            format!("1 3600 10 5 443 {b32} web,1 2 3 4 mail.i2p"),
        ] {
            let records = ServiceRecord::parse_all(&value).unwrap();
            let [first, second] = &records[..] else { panic!("{records:?}") };
            assert_eq!((first.ttl, first.port, first.app.as_deref()), (3600, 443, Some("web")));
            let at = first.at.as_ref().unwrap();
            assert_eq!((at.priority, at.weight, at.name.clone()), (10, 5, I2pName::parse(&b32).unwrap()));
            assert_eq!((second.ttl, second.port), (1, 4));
        }
    }

    #[test]
    fn malformed_records_are_errors() {
        for value in ["", "0", "0 1", "0 1 65536", "0 +1 2", "2 1 2", "0 1 2,", "0 1 2 \u{7f}"] {
            assert_eq!(ServiceRecord::parse_all(value), Err(NameError::MalformedService), "{value:?}");
        }
        // The second form, with an invalid target.
        for value in ["1 1 1 1 1", "0 1 2 a b", "1 1 1 1 1 example.com"] {
            assert!(ServiceRecord::parse_all(value).is_err(), "{value:?}");
        }
        assert!(ServiceRecord::parse_all(&format!("0 1 2 {}", "a".repeat(250))).is_err());
    }

    #[test]
    fn service_options_are_recognised() {
        assert!(is_service("_smtp._tcp") && is_service("_a-1._udp"));
        for option in ["smtp._tcp", "_smtp._sctp", "_._tcp", "_SMTP._tcp", "_smtp.tcp", "_s m._tcp", "_tcp"] {
            assert!(!is_service(option), "{option}");
        }
    }
}
