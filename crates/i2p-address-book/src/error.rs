use std::{io, path::PathBuf};

use i2p_name::ImportRefusal;

/// Why an operation on an address book failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BookError {
    /// The file or its directory cannot be created or opened.
    #[error("the address book {path} cannot be opened")]
    Open {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another process, or another [`AddressBook`](crate::AddressBook) in this process, has the file open.
    #[error("the address book {path} is in use by another program")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged or not an address book. It was not changed.
    #[error("the file {path} is damaged or not an address book; move it away and import the names again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The problem found.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file was written by a version of this crate with another format.
    #[error("the address book has format {found}, this version of the program reads format {known}")]
    Format {
        /// The format of the file.
        found: u64,
        /// The format of this crate.
        known: u64,
    },
    /// An entry cannot be decoded: another program has written to the file.
    #[error("an entry of the address book is damaged")]
    DamagedEntry,
    /// The disk has failed or is full.
    #[error("the address book cannot be read or written")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Writing has failed before, and the disk still takes no new data: perhaps it is full. Names are found.
    #[error("writing the address book has failed before, and the disk still takes no new data")]
    FailedBefore,
    /// The input of an import cannot be read.
    #[error("the names to import cannot be read")]
    Read(#[source] io::Error),
    /// The output of an export cannot be written.
    #[error("the names cannot be written")]
    Write(#[source] io::Error),
    /// No address book may have the name.
    #[error("{0}")]
    NotImportable(ImportRefusal),
    /// The name has another destination already. Remove or replace it.
    #[error("the name has another destination already")]
    NameTaken,
    /// There are [`Limits::max_subscriptions`](crate::Limits::max_subscriptions) subscriptions already.
    #[error("there are too many subscriptions")]
    TooManySubscriptions,
    /// There are [`Limits::max_entries`](crate::Limits::max_entries) names already.
    #[error("the address book is full")]
    Full,
}

macro_rules! storage {
    ($($error:ty),*) => {$(
        impl From<$error> for BookError {
            fn from(error: $error) -> Self {
                Self::Storage(Box::new(error))
            }
        }
    )*};
}

storage!(redb::TableError, redb::StorageError, redb::CommitError);

impl From<redb::TransactionError> for BookError {
    fn from(error: redb::TransactionError) -> Self {
        match error {
            redb::TransactionError::Storage(redb::StorageError::PreviousIo) => Self::FailedBefore,
            error => Self::Storage(Box::new(error)),
        }
    }
}
