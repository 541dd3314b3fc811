use std::{collections::BTreeMap, fmt};

use i2p_name::{Destination, HostName, base64};

use super::{LineError, SignatureError, rules};
use crate::signature::SigningKey;

/// What a command does with the names of a destination (subscription specification, "Commands").
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// No `action`: adds a name.
    Add {
        /// The new name.
        host: HostName,
    },
    /// `changename`: another name in place of the old one.
    ChangeName {
        /// The new name.
        host: HostName,
        /// The name that goes.
        old_host: HostName,
    },
    /// `changedest`: another destination in place of the old one.
    ChangeDestination {
        /// The name.
        host: HostName,
        /// The destination that goes.
        old_destination: Destination,
    },
    /// `addname`: a further name.
    AddName {
        /// The new name.
        host: HostName,
        /// The name that stays.
        old_host: HostName,
    },
    /// `adddest`: a further destination.
    AddDestination {
        /// The name.
        host: HostName,
        /// The destination that stays.
        old_destination: Destination,
    },
    /// `addsubdomain`: a name below one that somebody has.
    AddSubdomain {
        /// The new name.
        host: HostName,
        /// The name that it is below.
        old_host: HostName,
        /// The destination of `old_host`.
        old_destination: Destination,
    },
    /// `update`: other properties of a name.
    Update {
        /// The name.
        host: HostName,
    },
    /// `remove`: the name goes.
    Remove {
        /// The name.
        host: HostName,
    },
    /// `removeall`: all names of the destination go.
    RemoveAll,
}

impl Action {
    /// The name that it is about; `None` for [`Action::RemoveAll`].
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

    /// The destination that has to agree beside the command's own.
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

/// A command of a subscription feed. Nobody has verified it: [`Command::verify`] does.
///
/// Keys beside those of the specification are kept, since they are signed, and mean nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    action: Action,
    destination: Destination,
    /// `host=destination` as the line has them, but for the case of the host. Nothing in `remove` and `removeall`.
    entry: Option<String>,
    /// In the order of their UTF-8, which is the order of the signatures' input.
    properties: BTreeMap<String, String>,
    date: Option<u64>,
    expires: Option<u64>,
}

impl Command {
    /// What it does.
    #[must_use]
    pub const fn action(&self) -> &Action {
        &self.action
    }

    /// Whose command it is: the new destination in a change.
    #[must_use]
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// When it was signed, in seconds since 1970, as the signer says.
    #[must_use]
    pub const fn date(&self) -> Option<u64> {
        self.date
    }

    /// When it stops to count, in seconds since 1970.
    #[must_use]
    pub const fn expires(&self) -> Option<u64> {
        self.expires
    }

    /// The value of a key, as the line has it.
    #[must_use]
    pub fn property(&self, key: &str) -> Option<&str> {
        self.properties.get(key).map(String::as_str)
    }

    /// A line that starts with a name and a destination. `properties` is what comes after `#!`.
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

    /// A line that starts with `#!`: `remove` and `removeall`.
    pub(super) fn removal(properties: &str) -> Result<Self, LineError> {
        let properties = parse_properties(properties)?;
        let destination = rules::destination(lookup(&properties, "dest")?)?;
        let action = match lookup(&properties, "action")? {
            "remove" => Action::Remove { host: rules::host(lookup(&properties, "name")?)? },
            // A name may be there as advice for books that cannot look up by destination. This one can.
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

    /// Verifies the signatures: `sig` of the destination, and `oldsig` of the old one where the action has one.
    ///
    /// # Errors
    /// [`SignatureError`]: one is missing or wrong, or of a type that is not verified here.
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
        by: &Destination,
        left_out: &[&str],
    ) -> Result<(), SignatureError> {
        let text = self.properties.get(key).ok_or(SignatureError::Missing(key))?;
        let signature = base64::decode(text).map_err(|_| SignatureError::Wrong(key))?;
        SigningKey::of(by).verify(self.signed_text(left_out).as_bytes(), &signature, key)
    }

    /// The command in the order of its keys, without those of `left_out` (subscription specification, "Input for
    /// Signatures").
    fn signed_text(&self, left_out: &[&str]) -> String {
        let mut text = self.entry.clone().unwrap_or_default();
        let kept = self.properties.iter().filter(|(key, _)| !left_out.contains(&key.as_str()));
        for (index, (key, value)) in kept.enumerate() {
            text.push_str(if index == 0 { "#!" } else { "#" });
            text.push_str(key);
            text.push('=');
            text.push_str(value);
        }
        text
    }
}

/// Prints the command as a feed has it, its keys in the order of the signatures' input.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.signed_text(&[]))
    }
}

/// A command whose signatures are there and right.
///
/// That is what the holders of its keys want; whether an address book follows is another question.
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
    properties.get(key).map(String::as_str).ok_or(LineError::Lacks(key))
}

fn parse_properties(text: &str) -> Result<BTreeMap<String, String>, LineError> {
    let mut properties = BTreeMap::new();
    for pair in text.split('#') {
        let (key, value) = pair.split_once('=').ok_or(LineError::Property)?;
        if key.is_empty() || value.is_empty() {
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
