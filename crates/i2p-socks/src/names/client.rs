//! The commands' side of the address book: asks the proxy that runs with the state directory, or, where none runs, opens the file.

use std::{
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use i2p_address_book::{AddressBook, FeedName};
use i2p_name::HostName;

use super::{
    book::{FILE, explain},
    question::{self, Imported, Question, Refusal, Reply},
};
use crate::{
    config::{Config, i2p_url::I2pUrl},
    control::{
        client::{Client, Unanswered, read},
        pieces::{PieceWriter, sent},
    },
    failure::Failure,
};

/// What stands for stdin.
const STDIN: &str = "-";

/// What the book says of a name: the first destination in base64. For a person who asks, the reason why it says nothing.
pub(crate) async fn find(config: &Config, host: &HostName) -> Result<Option<String>, Failure> {
    let mut book = Book::of(config)?;
    match book.ask(Question::Find { name: host.as_str().to_owned() }).await? {
        Reply::Name(found) => Ok(found.and_then(|name| name.destinations.into_iter().next())),
        other => Err(odd(&other)),
    }
}

/// The answers never have another form, unless the proxy that runs is of another version.
pub(crate) fn odd(reply: &Reply) -> Failure {
    let _ = reply;
    Failure::run_time("the proxy that runs answers something else than was asked: is it of another version?")
}

/// The book, wherever it is open.
pub(crate) struct Book<'a> {
    pub(crate) client: Client,
    path: PathBuf,
    configured: &'a [I2pUrl],
    /// Open in this process, where no proxy runs.
    file: Option<AddressBook>,
}

impl<'a> Book<'a> {
    pub(crate) fn of(config: &'a Config) -> Result<Self, Failure> {
        let state_dir = config.state_dir()?;
        Ok(Self {
            client: Client::of(&state_dir),
            path: state_dir.join(FILE),
            configured: &config.names.subscriptions,
            file: None,
        })
    }

    pub(crate) async fn ask(&mut self, question: Question) -> Result<Reply, Failure> {
        if self.file.is_none() {
            match self.client.ask(question::NAMES, &question).await {
                Err(Unanswered::NotRunning(_)) => {}
                answer => return answer.map_err(Failure::run_time),
            }
        }
        let configured = self.configured;
        let empty = question.without_book(configured);
        let Some(book) = self.file(empty.is_none())? else {
            return empty.ok_or_else(|| Failure::run_time("there is no address book"));
        };
        question.answer(book, configured).map_err(|refusal| match refusal {
            Refusal::Question(why) | Refusal::Book(why) => Failure::run_time(why),
        })
    }

    /// The book in this process. Without one, it is made or not.
    pub(crate) fn file(&mut self, make: bool) -> Result<Option<&AddressBook>, Failure> {
        if self.file.is_none() && (make || self.path.exists()) {
            let opened = AddressBook::open(&self.path);
            self.file = Some(opened.map_err(|error| Failure::run_time(explain(&error)))?);
        }
        Ok(self.file.as_ref())
    }

    pub(crate) async fn import(&mut self, path: &Path) -> Result<Imported, Failure> {
        let cannot = |error| Failure::run_time(format_args!("cannot read {}: {error}", path.display()));
        let mut input: Box<dyn Read + Send> = if path == Path::new(STDIN) {
            Box::new(std::io::stdin())
        } else {
            if fs::metadata(path).map_err(cannot)?.is_dir() {
                return Err(cannot(std::io::ErrorKind::IsADirectory.into()));
            }
            Box::new(File::open(path).map_err(cannot)?)
        };
        let feed = match path.file_name().and_then(|name| name.to_str()) {
            Some(name) if path != Path::new(STDIN) => FeedName::new(name),
            _ => FeedName::new("stdin"),
        };
        if !self.client.is_running().await.map_err(Failure::run_time)? {
            let Some(book) = self.file(true)? else {
                return Err(Failure::run_time("there is no address book"));
            };
            let report = book.import(BufReader::new(input), &feed);
            return report.map(Imported::from).map_err(|error| Failure::run_time(explain(&error)));
        }
        let (pieces, body) = sent();
        tokio::task::spawn_blocking(move || {
            let mut writer = PieceWriter(pieces);
            if let Err(error) = std::io::copy(&mut input, &mut writer) {
                // A file that is read half is not imported as if it were whole.
                let _ = writer.0.blocking_send(Err(error));
            }
        });
        let answer = self.client.post(question::IMPORT, (question::FEED, feed.as_str()), body).await;
        read(answer.map_err(Failure::run_time)?).await.map_err(Failure::run_time)
    }
}
