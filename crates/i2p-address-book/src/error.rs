use std::{io, path::PathBuf};

/// Why an address book could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BookError {
    /// The file, or the directory that it is in, cannot be made or opened.
    #[error("the address book {path} cannot be opened")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process, or another [`AddressBook`](crate::AddressBook) of this one, has it open.
    #[error("the address book {path} is in use by another program")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is no address book, or was damaged. Nothing in it was changed.
    #[error("the address book {path} is damaged or is something else; move it away and import again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file was written by a version of this crate with another format.
    #[error("the address book has format {found}, this version of the program reads format {known}")]
    Format {
        /// The format of the file.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// An entry that makes no sense: somebody else wrote into the file.
    #[error("an entry of the address book is damaged")]
    DamagedEntry,
    /// The disk failed, or is full.
    #[error("the address book cannot be read or written")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is imported cannot be read.
    #[error("the names to import cannot be read")]
    Read(#[source] io::Error),
    /// What is exported cannot be written.
    #[error("the names cannot be written")]
    Write(#[source] io::Error),
    /// The name stands for another destination already. Remove or replace it.
    #[error("the name stands for another destination already")]
    NameTaken,
    /// There are as many subscriptions as [`Limits::max_subscriptions`](crate::Limits::max_subscriptions) allows.
    #[error("there are too many subscriptions")]
    TooManySubscriptions,
    /// There are as many names as [`Limits::max_entries`](crate::Limits::max_entries) allows.
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

storage!(redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError);
