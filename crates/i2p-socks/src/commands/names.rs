//! `names`: manages the address book.

use std::{
    fs::{self, File},
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use clap::Subcommand;
use http_body_util::BodyExt;
use i2p_address_book::BookError;
use i2p_name::{HostName, I2pName};
use i2p_sam::Error;
use i2p_tunnel::NameSource as _;
use tokio::time::timeout;

use super::{
    NO_PORT_HERE, host_advice,
    names_print::{self, Manner},
    remark_demo_not_asked,
};
use crate::{
    command_error::CommandError,
    config::{Config, i2p_url::I2pUrl},
    control::client::ControlError,
    daemon::bridge::bridge,
    names::{
        book::explain,
        client::{BookClient, STANDARD_STREAM, unexpected_reply},
        lookup::{HostLookup, why_unknown},
        protocol::{self, BookCommand, BookReply, FeedUpdate, NameEntry, RESOLVE_PATH},
        well_known::WellKnownFeeds,
    },
    terminal::output::{Format, remark, wanted},
};

/// How long a command waits in silence for the proxy, unless it writes to a terminal.
const SILENT_WAIT: Duration = Duration::from_secs(2);
/// How long a proxy may take to read all subscriptions.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum NamesCommand {
    /// List names with their addresses, and where they came from.
    List {
        /// List only names that begin with START.
        #[arg(value_name = "START", default_value = "", hide_default_value = true)]
        prefix: String,
    },
    /// Add a name. Feeds cannot change a name that you added.
    ///
    /// SOCKS5 has no room for a destination in base64. To use one from a SOCKS5 program, give it a name with this command. The book
    /// keeps destinations. So the destination of a .b32.i2p address is looked up once, and its host has to be online.
    Add {
        /// Name, such as example.i2p.
        name: String,
        /// Destination in base64, or a .b32.i2p address.
        // One destination of 64 begins with a hyphen.
        #[arg(allow_hyphen_values = true)]
        destination: String,
        /// Replace the destination that the name has now.
        #[arg(long)]
        replace: bool,
    },
    /// Remove a name. Feeds cannot bring it back with the same destination.
    Remove {
        /// Name to remove.
        name: String,
    },
    /// Import a hosts.txt or a feed, such as a file that export made. Names that the book already has stay as they are, and names that
    /// you removed come back.
    Import {
        /// File to read; - for stdin.
        file: PathBuf,
    },
    /// Export all names as a hosts.txt. On stdout, --json does not change that.
    Export {
        /// File to create; it must not exist yet; - for stdout [default: stdout].
        file: Option<PathBuf>,
    },
    /// Subscribe to a feed, which the proxy reads regularly through I2P. Without a URL, list the subscriptions.
    Subscribe {
        /// URL of the feed, such as http://example.i2p/hosts.txt.
        url: Option<I2pUrl>,
    },
    /// Cancel a subscription. The names that it brought stay.
    Unsubscribe {
        /// URL of the feed.
        url: I2pUrl,
    },
    /// Make the running proxy read the subscriptions now.
    Update {
        /// Read only this feed [default: all].
        url: Option<I2pUrl>,
    },
    /// List the names for which a feed offered another destination.
    Conflicts {
        /// Forget the conflicts about this name, and keep its destination.
        #[arg(long, value_name = "NAME")]
        settle: Option<String>,
    },
}

/// Runs the command and prints the result.
pub(crate) async fn run(config: &Config, command: &NamesCommand, manner: Manner) -> Result<(), CommandError> {
    let format = manner.format;
    let mut book = BookClient::of(config)?;
    remark_demo_not_asked(&config.state_dir()?, "the address book").await;
    match command {
        NamesCommand::List { prefix } => list(&mut book, prefix, format).await,
        NamesCommand::Add { name, destination, replace } => {
            // Before the router is asked for the destination.
            check_name(name)?;
            check_destination(destination)?;
            let destination = book.destination(destination, router_lookup(config, destination)).await?;
            let command = BookCommand::Add { name: name.clone(), destination, replace: *replace };
            let what =
                if *replace { format!("set the destination of {name}") } else { format!("added {name}") };
            let said = (what, "the name is already in the address book");
            done(&mut book, command, said, manner).await
        }
        NamesCommand::Remove { name } => {
            let command = BookCommand::Remove { name: name.clone() };
            let said = (format!("removed {name}"), "the name is not in the address book");
            done(&mut book, command, said, manner).await
        }
        NamesCommand::Import { file } => names_print::imported(&book.import(file).await?, format),
        NamesCommand::Export { file: Some(file) } if file != Path::new(STANDARD_STREAM) => {
            export(&mut book, file).await?;
            names_print::done(&format!("wrote all names to {}", file.display()), manner)
        }
        NamesCommand::Export { .. } => {
            wanted(export_to(&mut book, &mut io::stdout().lock()).await?).map(drop)
        }
        NamesCommand::Subscribe { url: None } => match book.run(BookCommand::Feeds).await? {
            BookReply::Feeds(feeds) => names_print::feeds(&feeds, format),
            other => Err(unexpected_reply(&other)),
        },
        NamesCommand::Subscribe { url: Some(url) } => {
            let command = BookCommand::Subscribe { url: url.clone() };
            let said = (format!("subscribed to {}", url.text()), "this subscription already exists");
            done(&mut book, command, said, manner).await?;
            remark_unknown_host(&mut book, config, url, manner).await;
            Ok(())
        }
        NamesCommand::Unsubscribe { url } => {
            let command = BookCommand::Unsubscribe { url: url.clone() };
            let said = (format!("unsubscribed from {}", url.text()), "there is no such subscription");
            done(&mut book, command, said, manner).await
        }
        NamesCommand::Update { url } => {
            let asked = book.client.ask_within(UPDATE_TIMEOUT, protocol::UPDATE_PATH, url);
            let updated: Vec<FeedUpdate> =
                with_remark(asked, manner.quiet).await.map_err(|error| match error {
                    ControlError::NotRunning(_) => CommandError::run_time(format_args!(
                        "{error}, and only a running proxy can read feeds: start one with i2p-socks run, name the state directory of \
                         another one with --state-dir, or import a file with i2p-socks names import"
                    )),
                    error => CommandError::run_time(error),
                })?;
            names_print::updated(&updated, format)
        }
        NamesCommand::Conflicts { settle: None } => match book.run(BookCommand::Conflicts).await? {
            BookReply::Conflicts(conflicts) => names_print::conflicts(&conflicts, format),
            other => Err(unexpected_reply(&other)),
        },
        NamesCommand::Conflicts { settle: Some(name) } => {
            let command = BookCommand::Settle { name: name.clone() };
            let said = (format!("settled {name}"), "there is no conflict about this name");
            done(&mut book, command, said, manner).await
        }
    }
}

/// Says so if only the router could know the host of a subscription: a mistyped name is then noticed here, not by feeds that never come.
async fn remark_unknown_host(book: &mut BookClient<'_>, config: &Config, url: &I2pUrl, manner: Manner) {
    let I2pName::Host(host) = url.host() else { return };
    if manner.quiet || config.names.fixed.contains_key(host) || WellKnownFeeds.find(host).is_some() {
        return;
    }
    // The subscription is there, whether this is known or not.
    let is_in_book = book.run(BookCommand::Find { name: host.as_str().to_owned() }).await;
    // The running proxy may have a configuration of its own, and its router an address book.
    let known_to_proxy = book.client.ask::<HostLookup>(RESOLVE_PATH, &host.as_str()).await;
    let is_known = known_to_proxy.is_ok_and(|lookup| lookup.b32.is_some());
    if matches!(is_in_book, Ok(BookReply::Name(None))) && !is_known {
        remark(&format!(
            "warning: {} is not in the address book. Unless the router knows the name, this feed cannot be read: try it with i2p-socks \
             names update",
            host.as_str()
        ));
    }
}

/// Does this work, and says what it waits for if it is not done soon: a person would take silence for a hang.
async fn with_remark<T>(work: impl Future<Output = T>, quiet: bool) -> T {
    let mut work = pin!(work);
    if !quiet {
        let soon = if io::stderr().is_terminal() { Duration::ZERO } else { SILENT_WAIT };
        match timeout(soon, &mut work).await {
            Ok(done) => return done,
            Err(_) => remark(
                "waiting for the proxy, which reads the subscriptions through I2P. Its first I2P session can take minutes; Ctrl-C ends \
                 only this command",
            ),
        }
    }
    work.await
}

/// Fails if the book cannot have this name.
fn check_name(name: &str) -> Result<(), CommandError> {
    let host: HostName = name.parse().map_err(|error| {
        let advice = host_advice(name, NO_PORT_HERE);
        CommandError::usage(format_args!("not a host name in I2P: {error}{advice}"))
    })?;
    host.check_importable().map_err(CommandError::usage)
}

/// Fails if no name can point at this.
fn check_destination(text: &str) -> Result<(), CommandError> {
    match I2pName::parse(text) {
        Ok(I2pName::Host(_)) | Err(_) => {
            protocol::destination_of(text).map(drop).map_err(CommandError::usage)
        }
        Ok(_) => Ok(()),
    }
}

/// The destination behind an address in base64, looked up by the router of the configuration.
async fn router_lookup(config: &Config, address: &str) -> Result<String, String> {
    let name = I2pName::parse(address).map_err(|error| error.to_string())?;
    let bridge = bridge(config).map_err(|error| error.to_string())?;
    match bridge.lookup(&name).await {
        Ok(found) => Ok(found.to_base64()),
        Err(Error::Unsupported { .. }) => {
            Err("no proxy is running, and this router, emissary, looks addresses up for a running proxy \
                                               only: start i2p-socks run and repeat the command"
                .to_owned())
        }
        Err(error) => Err(why_unknown(&error)),
    }
}

async fn list(book: &mut BookClient<'_>, prefix: &str, format: Format) -> Result<(), CommandError> {
    let mut printed = names_print::NameList::start(format)?;
    let mut after: Option<String> = None;
    loop {
        let command = BookCommand::List { prefix: prefix.to_ascii_lowercase(), after: after.clone() };
        let page = match book.run(command).await? {
            BookReply::Names(page) => page,
            other => return Err(unexpected_reply(&other)),
        };
        let Some(NameEntry { name, .. }) = page.last() else { return printed.end(prefix) };
        // A book that repeats itself would be listed for ever.
        if after.as_ref().is_some_and(|after| name <= after) {
            return Err(CommandError::run_time(
                "the running proxy lists names out of order: is it another version of i2p-socks?",
            ));
        }
        after = Some(name.clone());
        if printed.page(&page)?.is_break() {
            return Ok(());
        }
    }
}

/// Runs a command that changes the book. Says what it has done, or fails with the reason why there was nothing to do.
async fn done(
    book: &mut BookClient<'_>,
    command: BookCommand,
    (what, otherwise): (String, &str),
    manner: Manner,
) -> Result<(), CommandError> {
    match book.run(command).await? {
        BookReply::Done(true) => names_print::done(&what, manner),
        BookReply::Done(false) => Err(CommandError::run_time(otherwise)),
        other => Err(unexpected_reply(&other)),
    }
}

/// Writes all names to a new file, or leaves none.
async fn export(book: &mut BookClient<'_>, path: &Path) -> Result<(), CommandError> {
    let mut options = File::options();
    options.write(true).create_new(true);
    // The names in a book tell whom its owner talks to.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let failed =
        |what, error| CommandError::run_time(format_args!("cannot {what} {}: {error}", path.display()));
    let mut out = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => CommandError::run_time(format_args!(
            "{} is already there, and an export never overwrites a file: choose another name, or write to stdout, with names export - > \
             FILE",
            path.display()
        )),
        _ => failed("create", error),
    })?;
    let written = export_to(book, &mut out).await;
    let written = written.and_then(|written| written.map_err(|error| failed("write", error)));
    if written.is_err() {
        // Part of the names would look like all of them, and the next export would find the file in its way.
        let _ = fs::remove_file(path);
    }
    written
}

/// Writes all names. The inner result is that of writing, which ends at the first failure.
async fn export_to(book: &mut BookClient<'_>, out: &mut dyn Write) -> Result<io::Result<()>, CommandError> {
    match book.client.get(protocol::EXPORT_PATH).await {
        Ok(answer) => {
            let mut body = answer.into_body();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| {
                    CommandError::run_time(format_args!("the export is incomplete: {error}"))
                })?;
                if let Err(error) = out.write_all(frame.data_ref().map_or(&[][..], |data| data)) {
                    return Ok(Err(error));
                }
            }
        }
        Err(ControlError::NotRunning(_)) => {
            if let Some(book) = book.open()? {
                match book.export(&mut *out) {
                    Ok(()) => {}
                    Err(BookError::Write(error)) => return Ok(Err(error)),
                    Err(error) => return Err(CommandError::run_time(explain(&error))),
                }
            }
        }
        Err(error) => return Err(CommandError::run_time(error)),
    }
    Ok(out.flush())
}
