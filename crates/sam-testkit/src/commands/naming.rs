//! NAMING LOOKUP and DEST GENERATE, and how names are resolved.

use std::io;

use i2p_name::{B32, Destination};

use crate::{
    command::Command,
    connection::{BridgeState, Connection, NextStep},
    destination::{self, KeyPair, SignatureType},
    dialect::Dialect,
};

/// The result of resolving a name, base32 address or base64 destination.
pub(crate) enum Resolved {
    Destination(Destination),
    /// A base32 address that nobody here has.
    NoLeaseSet,
    /// A host name that is in no address book.
    UnknownName,
    /// Neither a name nor a destination.
    Malformed,
}

/// Resolves a name as the dialect does.
pub(crate) fn resolve(shared: &BridgeState, name: &str) -> Resolved {
    let registry = &shared.registry;
    let is_name = match shared.dialect {
        // Java takes only a text that is long enough for a destination.
        Dialect::Java => name.len() < 516,
        // i2pd and emissary look for the suffix anywhere.
        _ => name.contains(".i2p"),
    };
    if !is_name {
        return name.parse().map_or(Resolved::Malformed, Resolved::Destination);
    }
    if name.to_ascii_lowercase().ends_with(".b32.i2p") {
        let Ok(address) = name.parse::<B32>() else {
            // emissary takes it for a malformed address; the others look it up in their address books.
            let emissary = shared.dialect == Dialect::Emissary;
            return if emissary { Resolved::Malformed } else { Resolved::UnknownName };
        };
        return registry.by_address(&address).map_or(Resolved::NoLeaseSet, Resolved::Destination);
    }
    registry.by_name(name).map_or(Resolved::UnknownName, Resolved::Destination)
}

pub(crate) async fn behave(connection: &mut Connection, command: &Command) -> io::Result<NextStep> {
    match (command.verb.as_str(), command.action.as_str(), connection.shared.dialect) {
        ("NAMING", "LOOKUP", _) => lookup(connection, command).await,
        ("DEST", "GENERATE", _) => generate(connection, command).await,
        ("DEST", _, Dialect::Java) => {
            connection
                .refuse_without_newline("DEST REPLY RESULT=I2P_ERROR MESSAGE=\"DEST GENERATE required\"")
                .await
        }
        (_, _, Dialect::Emissary) => Ok(NextStep::Listen),
        _ => Ok(NextStep::Close),
    }
}

async fn lookup(connection: &mut Connection, command: &Command) -> io::Result<NextStep> {
    let dialect = connection.shared.dialect;
    let Some(name) = command.get("NAME") else {
        return match dialect {
            Dialect::Java => {
                let text = "NAMING REPLY RESULT=KEY_NOT_FOUND NAME=\"\" MESSAGE=\"Must specify NAME\"";
                connection.answer(text).await
            }
            Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259 => {
                not_found(connection, "INVALID_KEY", "").await
            }
            Dialect::Emissary => Ok(NextStep::Listen),
        };
    };
    let session = connection.held.session().map(|session| session.keys.public.clone());
    // emissary finds nothing before there is a session.
    if dialect == Dialect::Emissary && session.is_none() {
        return not_found(connection, "KEY_NOT_FOUND", name).await;
    }
    if name == "ME" {
        let own = match (session, dialect) {
            (Some(own), _) => own,
            (None, Dialect::Java) => return Ok(NextStep::Close),
            // i2pd answers with a destination of its own.
            (None, _) => destination::destination(),
        };
        return found(connection, name, &own).await;
    }
    match (resolve(&connection.shared, name), dialect) {
        // emissary does not accept a destination as a name.
        (Resolved::Destination(_), Dialect::Emissary) if !name.contains(".i2p") => {
            not_found(connection, "INVALID_KEY", name).await
        }
        (Resolved::Destination(destination), _) => found(connection, name, &destination.to_base64()).await,
        (_, Dialect::Java) | (Resolved::UnknownName | Resolved::NoLeaseSet, Dialect::Emissary) => {
            not_found(connection, "KEY_NOT_FOUND", name).await
        }
        // i2pd has one result for every failure.
        (_, _) => not_found(connection, "INVALID_KEY", name).await,
    }
}

async fn found(connection: &mut Connection, name: &str, destination: &str) -> io::Result<NextStep> {
    connection.answer(&format!("NAMING REPLY RESULT=OK NAME={name} VALUE={destination}")).await
}

async fn not_found(connection: &mut Connection, result: &str, name: &str) -> io::Result<NextStep> {
    connection.answer(&format!("NAMING REPLY RESULT={result} NAME={name}")).await
}

async fn generate(connection: &mut Connection, command: &Command) -> io::Result<NextStep> {
    let given = command.get("SIGNATURE_TYPE");
    let signature = match connection.shared.dialect {
        Dialect::Java => match signature_type(given) {
            Some(signature) => signature,
            None => {
                let given = given.unwrap_or_default();
                let text =
                    format!("DEST REPLY RESULT=I2P_ERROR MESSAGE=\"SIGNATURE_TYPE {given} unsupported\"");
                return connection.answer(&text).await;
            }
        },
        // i2pd ignores an unknown type.
        Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259 => {
            signature_type(given).unwrap_or(SignatureType::Dsa)
        }
        // emissary generates Ed25519 only, and only if it is asked for by this number.
        Dialect::Emissary if given == Some("7") => SignatureType::Ed25519,
        Dialect::Emissary => return Ok(NextStep::Listen),
    };
    let keys = KeyPair::generate(signature);
    connection.answer(&format!("DEST REPLY PUB={} PRIV={}", keys.public, keys.private)).await
}

/// The signature type that is asked for, by default DSA (SAM v3, "Signature and encryption types").
pub(crate) fn signature_type(given: Option<&str>) -> Option<SignatureType> {
    given.map_or(Some(SignatureType::Dsa), SignatureType::parse)
}
