use i2p_name::{ImportRefusal, NameError};

/// Bytes of the longest line accepted, without its line end: room for two destinations of 616 characters, two signatures, names,
/// and keys that the specification does not define.
pub const MAX_LINE_BYTES: usize = 16 * 1024;

/// Why a line is not valid. The messages never repeat the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Longer than [`MAX_LINE_BYTES`].
    #[error("the line is longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// Not UTF-8, or it contains a control character.
    #[error("the line is not plain text")]
    NotText,
    /// Not of the form `name=destination`.
    #[error("the line has no =")]
    NoDestination,
    /// The name is valid, but not in the form that address books use: lower case without `.alt` and without a dot at the end.
    #[error("the name is not in the form that address books use")]
    NotCanonical,
    /// Address books must not import the name.
    #[error(transparent)]
    NotImportable(ImportRefusal),
    /// The name is not valid.
    #[error("the name: {0}")]
    Name(NameError),
    /// The destination is not valid.
    #[error("the destination: {0}")]
    Destination(NameError),
    /// The destination is shorter or longer than an import allows.
    #[error("the destination has {0} characters, 516 to 616 are allowed")]
    DestinationLength(usize),
    /// A property is not of the form `key=value`, has no key or no value, or its value ends with a blank.
    #[error("a property after #! is not of the form key=value")]
    Property,
    /// A key occurs twice.
    #[error("a property after #! is there twice")]
    DuplicateKey,
    /// The command lacks a key that its action requires.
    #[error("the command lacks the property {0}")]
    MissingProperty(&'static str),
    /// `date` or `expires` is not a number of seconds.
    #[error("the property {0} is not a number of seconds")]
    Time(&'static str),
    /// The action is not in the specification, or not allowed in this kind of line.
    #[error("the action is unknown, or in the wrong kind of line")]
    Action,
    /// A signature is not base64.
    #[error("the signature {0} is not base64 in I2P's alphabet")]
    Signature(&'static str),
    /// The name in `addsubdomain` is not a subdomain of `oldname`.
    #[error("the name is not a subdomain of oldname")]
    NotASubdomain,
}
