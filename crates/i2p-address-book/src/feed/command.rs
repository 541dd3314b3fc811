use std::{collections::BTreeMap, fmt};

use i2p_name::{Destination, HostName, base64};

use super::{error::LineError, rules};
use crate::signature::{SignatureError, SigningKey};

/// The action of a command on the names of a destination (subscription specification, "Commands").
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// No `action`: adds a name.
    Add {
        /// The new name.
        host: HostName,
    },
    /// `changename`: replaces a name by another one.
    ChangeName {
        /// The new name.
        host: HostName,
        /// The name that is removed.
        old_host: HostName,
    },
    /// `changedest`: replaces a destination of a name by another one.
    ChangeDestination {
        /// The name.
        host: HostName,
        /// The destination that is removed.
        old_destination: Destination,
    },
    /// `addname`: adds another name of a destination.
    AddName {
        /// The new name.
        host: HostName,
        /// The existing name, which stays.
        old_host: HostName,
    },
    /// `adddest`: adds another destination of a name.
    AddDestination {
        /// The name.
        host: HostName,
        /// The existing destination, which stays.
        old_destination: Destination,
    },
    /// `addsubdomain`: adds a subdomain of an existing name.
    AddSubdomain {
        /// The new name.
        host: HostName,
        /// The existing name.
        old_host: HostName,
        /// The destination of `old_host`.
        old_destination: Destination,
    },
    /// `update`: changes other properties of a name.
    Update {
        /// The name.
        host: HostName,
    },
    /// `remove`: removes a name.
    Remove {
        /// The name.
        host: HostName,
    },
    /// `removeall`: removes all names of the destination.
    RemoveAll,
}

impl Action {
    /// The name that the action changes; `None` for [`Action::RemoveAll`].
    #[must_use]
    pub const fn host(&self) -> Option<&HostName> {
        match self {
            Self::Add { host }
            | Self::ChangeName { host, .. }
            | Self::ChangeDestination { host, .. }
            | Self::AddName { host, .. }
            | Self::AddDestination { host, .. }
            | Self::AddSubdomain { host, .. }
            | Self::Update { host }
            | Self::Remove { host } => Some(host),
            Self::RemoveAll => None,
        }
    }

    /// The destination that must sign in addition to the command's own.
    #[must_use]
    pub const fn old_destination(&self) -> Option<&Destination> {
        match self {
            Self::ChangeDestination { old_destination, .. }
            | Self::AddDestination { old_destination, .. }
            | Self::AddSubdomain { old_destination, .. } => Some(old_destination),
            _ => None,
        }
    }
}

/// A command of a subscription feed, not verified yet: see [`Command::verify`].
///
/// Keys that the specification does not define are kept, because the signatures cover them. They have no meaning here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    action: Action,
    destination: Destination,
    /// `host=destination` as in the line, with the host in lower case; `None` for `remove` and `removeall`.
    entry: Option<String>,
    /// Sorted by their UTF-8, the order in which the signatures cover them.
    properties: BTreeMap<String, String>,
    date: Option<u64>,
    expires: Option<u64>,
}

impl Command {
    /// The action.
    #[must_use]
    pub const fn action(&self) -> &Action {
        &self.action
    }

    /// The destination that gives the command; in a change, the new one.
    #[must_use]
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The time of signing in seconds since 1970, as claimed by the signer.
    #[must_use]
    pub const fn date(&self) -> Option<u64> {
        self.date
    }

    /// The time of expiry in seconds since 1970.
    #[must_use]
    pub const fn expires(&self) -> Option<u64> {
        self.expires
    }

    /// The value of a key as it stands in the line.
    #[must_use]
    pub fn property(&self, key: &str) -> Option<&str> {
        self.properties.get(key).map(String::as_str)
    }

    /// Parses a command whose line starts with a name and a destination. `properties` is the text after `#!`.
    pub(super) fn change(
        host: HostName,
        destination: Destination,
        destination_text: &str,
        properties: &str,
    ) -> Result<Self, LineError> {
        let properties = parse_properties(properties)?;
        let entry = format!("{}={destination_text}", host.as_str());
        let old_host = || rules::host(lookup(&properties, "oldname")?);
        let old_destination = || rules::destination(lookup(&properties, "olddest")?);
        let action = match properties.get("action").map(String::as_str) {
            None => Action::Add { host },
            Some("changename") => Action::ChangeName { host, old_host: old_host()? },
            Some("changedest") => Action::ChangeDestination { host, old_destination: old_destination()? },
            Some("addname") => Action::AddName { host, old_host: old_host()? },
            Some("adddest") => Action::AddDestination { host, old_destination: old_destination()? },
            Some("addsubdomain") => {
                let (old_host, old_destination) = (old_host()?, old_destination()?);
                let above = host.as_str().strip_suffix(old_host.as_str());
                if !above.is_some_and(|label| label.ends_with('.')) {
                    return Err(LineError::NotASubdomain);
                }
                Action::AddSubdomain { host, old_host, old_destination }
            }
            Some("update") => Action::Update { host },
            Some(_) => return Err(LineError::Action),
        };
        Self::new(action, destination, Some(entry), properties)
    }

    /// Parses a command whose line starts with `#!`: `remove` or `removeall`. `properties` is the text after `#!`.
    pub(super) fn removal(properties: &str) -> Result<Self, LineError> {
        let properties = parse_properties(properties)?;
        let destination = rules::destination(lookup(&properties, "dest")?)?;
        let action = match lookup(&properties, "action")? {
            "remove" => Action::Remove { host: rules::host(lookup(&properties, "name")?)? },
            // The line may have a name as a hint for address books that cannot look up by destination. This one can.
            "removeall" => Action::RemoveAll,
            _ => return Err(LineError::Action),
        };
        Self::new(action, destination, None, properties)
    }

    fn new(
        action: Action,
        destination: Destination,
        entry: Option<String>,
        properties: BTreeMap<String, String>,
    ) -> Result<Self, LineError> {
        let seconds = |key| match properties.get(key) {
            Some(text) => text.parse().map(Some).map_err(|_| LineError::Time(key)),
            None => Ok(None),
        };
        let (date, expires) = (seconds("date")?, seconds("expires")?);
        Ok(Self { action, destination, entry, properties, date, expires })
    }

    /// Verifies the signatures: `sig` by the destination, and `oldsig` by the old destination if the action has one.
    ///
    /// # Errors
    /// [`SignatureError`]: a signature is missing, wrong, or of a type that this crate does not verify.
    pub fn verify(self) -> Result<VerifiedCommand, SignatureError> {
        if let Some(old) = self.action.old_destination() {
            self.verify_one("oldsig", old, &["sig", "oldsig"])?;
        }
        self.verify_one("sig", &self.destination, &["sig"])?;
        Ok(VerifiedCommand(self))
    }

    fn verify_one(
        &self,
        key: &'static str,
        signer: &Destination,
        excluded: &[&str],
    ) -> Result<(), SignatureError> {
        let text = self.properties.get(key).ok_or(SignatureError::Missing(key))?;
        let signature = base64::decode(text).map_err(|_| SignatureError::Wrong(key))?;
        SigningKey::of(signer).verify(self.signed_text(excluded).as_bytes(), &signature, key)
    }

    /// The command with its keys in order, without the keys in `excluded` (subscription specification, "Input for
    /// Signatures").
    fn signed_text(&self, excluded: &[&str]) -> String {
        let mut text = self.entry.clone().unwrap_or_default();
        let kept = self.properties.iter().filter(|(key, _)| !excluded.contains(&key.as_str()));
        for (index, (key, value)) in kept.enumerate() {
            text.push_str(if index == 0 { "#!" } else { "#" });
            text.push_str(key);
            text.push('=');
            text.push_str(value);
        }
        text
    }
}

/// Prints the command as it stands in a feed, with its keys in the order in which the signatures cover them.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.signed_text(&[]))
    }
}

/// A command with valid signatures.
///
/// The holders of its keys want it; whether an address book carries it out is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCommand(Command);

impl VerifiedCommand {
    /// The command.
    #[must_use]
    pub const fn command(&self) -> &Command {
        &self.0
    }
}

fn lookup<'a>(properties: &'a BTreeMap<String, String>, key: &'static str) -> Result<&'a str, LineError> {
    properties.get(key).map(String::as_str).ok_or(LineError::MissingProperty(key))
}

fn parse_properties(text: &str) -> Result<BTreeMap<String, String>, LineError> {
    let mut properties = BTreeMap::new();
    for pair in text.split('#') {
        let (key, value) = pair.split_once('=').ok_or(LineError::Property)?;
        // A blank at the end of a value would be lost when the command is printed with this property last.
        if key.is_empty() || value.is_empty() || value.ends_with(' ') {
            return Err(LineError::Property);
        }
        if properties.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(LineError::DuplicateKey);
        }
    }
    for key in ["sig", "oldsig"] {
        if properties.get(key).is_some_and(|text: &String| base64::decode(text).is_err()) {
            return Err(LineError::Signature(key));
        }
    }
    Ok(properties)
}
