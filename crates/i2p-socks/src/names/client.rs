//! The address book as commands use it: through the running proxy, or, if none is running, by opening the file.

use std::{
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use i2p_address_book::{AddressBook, FeedName};
use i2p_name::{HostName, I2pName};

use super::{
    book::{BOOK_FILE, explain},
    open_book,
    protocol::{self, BookCommand, BookReply, ImportCounts},
};
use crate::{
    command_error::CommandError,
    config::{Config, i2p_url::I2pUrl},
    control::{
        client::{ControlClient, ControlError, read_json},
        streamed_body::{BodyWriter, streamed_body},
    },
    files,
};

/// The file name that means stdin, or stdout.
pub(crate) const STANDARD_STREAM: &str = "-";

/// The first destination of a name in base64, or `None` if the book does not have the name.
pub(crate) async fn find(config: &Config, host: &HostName) -> Result<Option<String>, CommandError> {
    let mut book = BookClient::of(config)?;
    match book.run(BookCommand::Find { name: host.as_str().to_owned() }).await? {
        BookReply::Name(found) => Ok(found.and_then(|name| name.destinations.into_iter().next())),
        other => Err(unexpected_reply(&other)),
    }
}

/// The error for a reply that does not fit the command. Only a proxy of another version gives one.
pub(crate) fn unexpected_reply(reply: &BookReply) -> CommandError {
    let _ = reply;
    CommandError::run_time("the running proxy gave an unexpected answer: is it another version of i2p-socks?")
}

/// Access to the address book.
pub(crate) struct BookClient<'a> {
    pub(crate) client: ControlClient,
    path: PathBuf,
    configured: &'a [I2pUrl],
    /// The book, opened in this process because no proxy is running.
    opened: Option<AddressBook>,
}

impl<'a> BookClient<'a> {
    pub(crate) fn of(config: &'a Config) -> Result<Self, CommandError> {
        let state_dir = config.state_dir()?;
        Ok(Self {
            client: ControlClient::of(&state_dir),
            path: state_dir.join(BOOK_FILE),
            configured: &config.names.subscriptions,
            opened: None,
        })
    }

    /// Runs a command, in the proxy or in this process.
    pub(crate) async fn run(&mut self, command: BookCommand) -> Result<BookReply, CommandError> {
        if self.opened.is_none() {
            match self.client.ask(protocol::NAMES_PATH, &command).await {
                Err(ControlError::NotRunning(_)) => {}
                answer => return answer.map_err(CommandError::run_time),
            }
        }
        let configured = self.configured;
        let book = match command.reply_without_book(configured) {
            None => self.open_or_create()?,
            Some(reply) => match self.open()? {
                Some(book) => book,
                None => return Ok(reply),
            },
        };
        command.run(book, configured).map_err(|error| CommandError::run_time(error.reason()))
    }

    /// The book, opened in this process; `None` if it does not exist.
    pub(crate) fn open(&mut self) -> Result<Option<&AddressBook>, CommandError> {
        if self.opened.is_none() && !self.path.exists() {
            return Ok(None);
        }
        self.open_or_create().map(Some)
    }

    /// The book, opened or created in this process.
    fn open_or_create(&mut self) -> Result<&AddressBook, CommandError> {
        self.refuse_new_file_for_another_user()?;
        let book = match self.opened.take() {
            Some(book) => book,
            None => open_book::open(&self.path).map_err(|error| CommandError::run_time(explain(&error)))?,
        };
        Ok(self.opened.insert(book))
    }

    /// Refuses to create the file in a state directory of another user, whose proxy could not open it.
    fn refuse_new_file_for_another_user(&self) -> Result<(), CommandError> {
        let exists = fs::metadata(&self.path).is_ok_and(|found| found.len() > 0);
        match self.path.parent().and_then(|state_dir| Some((state_dir, files::other_owner(state_dir)?))) {
            Some((state_dir, owner)) if !exists => Err(CommandError::run_time(format_args!(
                "the state directory {} has no address book yet, and belongs to user {owner}, whose proxy could not open one that \
                 another user creates. The proxy creates it itself: start the proxy or the service, and repeat the command",
                state_dir.display()
            ))),
            _ => Ok(()),
        }
    }

    /// The destination that a text stands for, in base64: it is one, or a base32 address, which the router of the running proxy, or
    /// `router`, looks up. The book stores destinations. Any other text is returned as it is, and the book refuses it.
    pub(crate) async fn destination(
        &self,
        text: &str,
        router: impl Future<Output = Result<String, String>>,
    ) -> Result<String, CommandError> {
        let found = match I2pName::parse(text) {
            Ok(I2pName::B32(b32)) => {
                match self.client.ask::<String>(protocol::DESTINATION_PATH, &b32.to_string()).await {
                    Err(ControlError::NotRunning(_)) => router.await,
                    answer => answer.map_err(|error| error.to_string()),
                }
            }
            Ok(I2pName::Blinded(_)) => Err("it is the address of an encrypted lease set".to_owned()),
            _ => return Ok(text.to_owned()),
        };
        found.map_err(|why| {
            CommandError::run_time(format_args!(
                "the address book keeps destinations, and that of this address is not known: {why}. Put the name under \
                 [names.static] in the configuration instead, which also takes an address"
            ))
        })
    }

    /// Imports a file, or stdin, in the proxy or in this process.
    pub(crate) async fn import(&mut self, path: &Path) -> Result<ImportCounts, CommandError> {
        let cannot = |error| CommandError::run_time(format_args!("cannot read {}: {error}", path.display()));
        let mut input: Box<dyn Read + Send> = if path == Path::new(STANDARD_STREAM) {
            Box::new(std::io::stdin())
        } else {
            if fs::metadata(path).map_err(cannot)?.is_dir() {
                return Err(cannot(std::io::ErrorKind::IsADirectory.into()));
            }
            Box::new(File::open(path).map_err(cannot)?)
        };
        let feed = match path.file_name().and_then(|name| name.to_str()) {
            Some(name) if path != Path::new(STANDARD_STREAM) => FeedName::new(name),
            _ => FeedName::new("stdin"),
        };
        if !self.client.is_running().await.map_err(CommandError::run_time)? {
            let report = self.open_or_create()?.restore(BufReader::new(input), &feed);
            return report.map(ImportCounts::from).map_err(|error| CommandError::run_time(explain(&error)));
        }
        let (chunks, body) = streamed_body();
        tokio::task::spawn_blocking(move || {
            let mut writer = BodyWriter(chunks);
            if let Err(error) = std::io::copy(&mut input, &mut writer) {
                // The error breaks the body off, so that half a file is not imported as a whole one.
                let _ = writer.0.blocking_send(Err(error));
            }
        });
        let answer =
            self.client.post(protocol::IMPORT_PATH, (protocol::FEED_FIELD, feed.as_str()), body).await;
        read_json(answer.map_err(CommandError::run_time)?).await.map_err(CommandError::run_time)
    }
}
