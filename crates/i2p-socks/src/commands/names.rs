//! `names ...`: what a person does with the address book.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Subcommand;
use http_body_util::BodyExt;

use super::names_print::{self, cannot_write};
use crate::{
    config::{Config, i2p_url::I2pUrl},
    control::client::Unanswered,
    failure::Failure,
    names::{
        book::explain,
        client::{Book, odd},
        question::{self, Name, Question, Reply, Updated},
    },
};

/// How long a proxy may take to read all subscriptions.
const UPDATE: Duration = Duration::from_secs(15 * 60);

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum NamesCommand {
    /// List the names, what they stand for, and where they came from.
    List {
        /// Only names that start so.
        #[arg(value_name = "START", default_value = "", hide_default_value = true)]
        prefix: String,
    },
    /// Put a name into the book: no feed changes it from then on.
    ///
    /// This is also the way to use a destination in base64 from a program that speaks SOCKS5, where it would not fit: give
    /// it a name.
    Add {
        /// The name, such as example.i2p
        name: String,
        /// What it stands for, in base64
        destination: String,
        /// Put it in the place of what the name stands for now
        #[arg(long)]
        replace: bool,
    },
    /// Take a name out of the book: no feed brings it back with the same destination.
    Remove {
        /// The name
        name: String,
    },
    /// Read a hosts.txt, or a feed, into the book. Names that are there already stay what they are.
    Import {
        /// The file; - for stdin
        file: PathBuf,
    },
    /// Write all names as a hosts.txt.
    Export {
        /// The file, which must not be there yet; not given, stdout
        file: Option<PathBuf>,
    },
    /// Have a feed read into the book again and again, through I2P; without a URL, list the subscriptions.
    Subscribe {
        /// Where it is, such as http://example.i2p/hosts.txt
        url: Option<I2pUrl>,
    },
    /// Have a feed read no more. Its names stay.
    Unsubscribe {
        /// Where it is
        url: I2pUrl,
    },
    /// Have the proxy that runs read subscriptions now.
    Update {
        /// Which; not given, all
        url: Option<I2pUrl>,
    },
    /// Show who wanted another destination for a name that has one.
    Conflicts {
        /// Forget the conflicts about this name instead, which stays as it is
        #[arg(long, value_name = "NAME")]
        settle: Option<String>,
    },
}

/// Does what was asked for and prints what came of it.
pub(crate) async fn run(config: &Config, command: &NamesCommand, json: bool) -> Result<(), Failure> {
    let mut book = Book::of(config)?;
    match command {
        NamesCommand::List { prefix } => list(&mut book, prefix, json).await,
        NamesCommand::Add { name, destination, replace } => {
            let (name, destination) = (name.clone(), destination.clone());
            let question = Question::Add { name, destination, replace: *replace };
            done(&mut book, question, json, "that name is in the book already").await
        }
        NamesCommand::Remove { name } => {
            let question = Question::Remove { name: name.clone() };
            done(&mut book, question, json, "there is no such name in the book").await
        }
        NamesCommand::Import { file } => names_print::imported(&book.import(file).await?, json),
        NamesCommand::Export { file } => export(&mut book, file.as_deref()).await,
        NamesCommand::Subscribe { url: None } => match book.ask(Question::Feeds).await? {
            Reply::Feeds(feeds) => names_print::feeds(&feeds, json),
            other => Err(odd(&other)),
        },
        NamesCommand::Subscribe { url: Some(url) } => {
            let question = Question::Subscribe { url: url.clone() };
            done(&mut book, question, json, "that subscription is there already").await
        }
        NamesCommand::Unsubscribe { url } => {
            let question = Question::Unsubscribe { url: url.clone() };
            done(&mut book, question, json, "there is no such subscription").await
        }
        NamesCommand::Update { url } => {
            let updated: Vec<Updated> =
                book.client.ask_within(UPDATE, question::UPDATE, url).await.map_err(|error| match error {
                    Unanswered::NotRunning(_) => Failure::run_time(
                        "no proxy runs with this state directory, and only a proxy has a way to the feeds: start i2p-socks \
                         run, or read a file with i2p-socks names import",
                    ),
                    error => Failure::run_time(error),
                })?;
            names_print::updated(&updated, json)
        }
        NamesCommand::Conflicts { settle: None } => match book.ask(Question::Conflicts).await? {
            Reply::Conflicts(conflicts) => names_print::conflicts(&conflicts, json),
            other => Err(odd(&other)),
        },
        NamesCommand::Conflicts { settle: Some(name) } => {
            let question = Question::Settle { name: name.clone() };
            done(&mut book, question, json, "there is no conflict about that name").await
        }
    }
}

async fn list(book: &mut Book<'_>, prefix: &str, json: bool) -> Result<(), Failure> {
    let mut printed = names_print::List::start(json)?;
    let mut after: Option<String> = None;
    loop {
        let question = Question::List { prefix: prefix.to_ascii_lowercase(), after: after.clone() };
        let page = match book.ask(question).await? {
            Reply::Names(page) => page,
            other => return Err(odd(&other)),
        };
        let Some(Name { name, .. }) = page.last() else { return printed.end(prefix.is_empty()) };
        // A book that goes backwards would go on for ever.
        if after.as_ref().is_some_and(|after| name <= after) {
            return Err(Failure::run_time("the address book repeats itself"));
        }
        after = Some(name.clone());
        printed.page(&page)?;
    }
}

async fn done(book: &mut Book<'_>, question: Question, json: bool, otherwise: &str) -> Result<(), Failure> {
    match book.ask(question).await? {
        Reply::Done(true) => names_print::done(json),
        Reply::Done(false) => Err(Failure::run_time(otherwise)),
        other => Err(odd(&other)),
    }
}

async fn export(book: &mut Book<'_>, file: Option<&Path>) -> Result<(), Failure> {
    let mut out: Box<dyn Write> = match file {
        None => Box::new(std::io::stdout().lock()),
        Some(path) => {
            let mut options = File::options();
            options.write(true).create_new(true);
            // The names somebody knows tell whom they talk to.
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            Box::new(options.open(path).map_err(|error| {
                Failure::run_time(format_args!("cannot make {}: {error}", path.display()))
            })?)
        }
    };
    match book.client.get(question::EXPORT).await {
        Ok(answer) => {
            let mut body = answer.into_body();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| {
                    Failure::run_time(format_args!("not all names were written: {error}"))
                })?;
                out.write_all(frame.data_ref().map_or(&[][..], |data| data))
                    .map_err(|error| cannot_write(&error))?;
            }
        }
        Err(Unanswered::NotRunning(_)) => {
            if let Some(book) = book.file(false)? {
                book.export(&mut out).map_err(|error| Failure::run_time(explain(&error)))?;
            }
        }
        Err(error) => return Err(Failure::run_time(error)),
    }
    out.flush().map_err(|error| cannot_write(&error))
}
