//! The handlers for host names on the control socket.
//!
//! | request | response |
//! |---|---|
//! | `POST /names` with a [`BookCommand`] | a [`BookReply`] |
//! | `POST /names/import` with a `hosts.txt` or a feed, and its name in the field `feed` | [`ImportCounts`] |
//! | `GET /names/export` | a `hosts.txt` |
//! | `POST /names/resolve` with a host name | a [`HostLookup`](super::lookup::HostLookup) |
//! | `POST /names/destination` with a base32 address | its destination in base64 |
//! | `POST /names/update` with a subscription, or `null` for all | a [`FeedUpdate`] for each |

use std::{
    io::{self, BufReader, BufWriter},
    sync::Arc,
};

use hyper::{Method, StatusCode};
use i2p_address_book::FeedName;
use i2p_name::I2pName;

use super::{
    feeds::FeedResult,
    protocol::{
        BookCommand, BookCommandError, BookReply, DESTINATION_PATH, EXPORT_PATH, FEED_FIELD, FeedUpdate,
        IMPORT_PATH, ImportCounts, NAMES_PATH, RESOLVE_PATH, UPDATE_PATH,
    },
    service::NameService,
};
use crate::{
    config::i2p_url::I2pUrl,
    control::{
        routes::{HttpRequest, HttpResponse, Routes, error_response, json_response, read_json_body},
        streamed_body::{BodyReader, BodyWriter, streamed_body},
    },
};

/// The largest command: a destination in base64 in JSON.
const MAX_COMMAND_BYTES: usize = 16 * 1024;
/// The name of an import without that field.
const UNNAMED_FEED: &str = "import";
/// The size of the chunks of an export.
const EXPORT_CHUNK_BYTES: usize = 64 * 1024;

/// Adds the paths for host names to `routes`.
pub(crate) fn add(names: &Arc<NameService>, routes: Routes) -> Routes {
    let with = || Arc::clone(names);
    let (command, import, export, update) = (with(), with(), with(), with());
    let (resolve, destination) = (with(), with());
    routes
        .on(Method::POST, NAMES_PATH, move |request| run_command(Arc::clone(&command), request))
        .on(Method::POST, IMPORT_PATH, move |request| import_feed(Arc::clone(&import), request))
        .on(Method::GET, EXPORT_PATH, move |_| export_names(Arc::clone(&export)))
        .on(Method::POST, RESOLVE_PATH, move |request| look_up(Arc::clone(&resolve), request))
        .on(Method::POST, DESTINATION_PATH, move |request| {
            find_destination(Arc::clone(&destination), request)
        })
        .on(Method::POST, UPDATE_PATH, move |request| update_feeds(Arc::clone(&update), request))
}

fn no_book(why: &str) -> HttpResponse {
    error_response(StatusCode::SERVICE_UNAVAILABLE, why)
}

async fn run_command(names: Arc<NameService>, request: HttpRequest) -> HttpResponse {
    let command = match read_json_body::<BookCommand>(request.into_body(), MAX_COMMAND_BYTES).await {
        Ok(command) => command,
        Err(answer) => return answer,
    };
    match names.run(command).await {
        Ok(reply) => json_response(StatusCode::OK, &reply),
        Err(BookCommandError::Command(why)) => error_response(StatusCode::CONFLICT, &why),
        Err(BookCommandError::Book(why)) => no_book(&why),
    }
}

async fn import_feed(names: Arc<NameService>, request: HttpRequest) -> HttpResponse {
    let book = match names.book() {
        Ok(book) => book,
        Err(why) => return no_book(why),
    };
    let feed = request.headers().get(FEED_FIELD).and_then(|value| str::from_utf8(value.as_bytes()).ok());
    let feed = FeedName::new(feed.unwrap_or(UNNAMED_FEED));
    let reader = BufReader::new(BodyReader::of(request.into_body()));
    let report = book.work(move |book| book.restore(reader, &feed)).await;
    names.forget_resolved();
    match report {
        Ok(report) => json_response(StatusCode::OK, &ImportCounts::from(report)),
        Err(why) => no_book(&why),
    }
}

#[allow(clippy::unused_async, reason = "handlers are async")]
async fn export_names(names: Arc<NameService>) -> HttpResponse {
    let book = match names.book() {
        Ok(book) => Arc::clone(book.file()),
        Err(why) => return no_book(why),
    };
    let (sender, body) = streamed_body();
    tokio::task::spawn_blocking(move || {
        let writer = BufWriter::with_capacity(EXPORT_CHUNK_BYTES, BodyWriter(sender.clone()));
        if book.export(writer).is_err() {
            // The error breaks the body off, so that the reader notices.
            let _ = sender.blocking_send(Err(io::ErrorKind::Other.into()));
        }
    });
    HttpResponse::new(body)
}

async fn look_up(names: Arc<NameService>, request: HttpRequest) -> HttpResponse {
    let text = match read_json_body::<String>(request.into_body(), MAX_COMMAND_BYTES).await {
        Ok(text) => text,
        Err(answer) => return answer,
    };
    match text.parse() {
        Ok(host) => json_response(StatusCode::OK, &names.look_up(&host).await),
        Err(_) => error_response(StatusCode::BAD_REQUEST, "not a host name in I2P"),
    }
}

async fn find_destination(names: Arc<NameService>, request: HttpRequest) -> HttpResponse {
    let text = match read_json_body::<String>(request.into_body(), MAX_COMMAND_BYTES).await {
        Ok(text) => text,
        Err(answer) => return answer,
    };
    match I2pName::parse(&text) {
        Ok(I2pName::B32(b32)) => match names.destination_of(b32).await {
            Ok(destination) => json_response(StatusCode::OK, &destination.to_base64()),
            Err(why) => error_response(StatusCode::NOT_FOUND, &why),
        },
        _ => error_response(StatusCode::BAD_REQUEST, "not a base32 address"),
    }
}

async fn update_feeds(names: Arc<NameService>, request: HttpRequest) -> HttpResponse {
    let wanted = match read_json_body::<Option<I2pUrl>>(request.into_body(), MAX_COMMAND_BYTES).await {
        Ok(wanted) => wanted,
        Err(answer) => return answer,
    };
    if let Err(why) = names.book() {
        return no_book(why);
    }
    let Some(feeds) = names.feeds() else {
        return no_book("the proxy has no router yet: wait until it is ready");
    };
    let mut urls = feeds.subscriptions().await;
    if let Some(wanted) = wanted {
        urls.retain(|url| *url == wanted);
        if urls.is_empty() {
            return error_response(StatusCode::NOT_FOUND, "there is no such subscription");
        }
    }
    let feeds = Arc::clone(feeds);
    // A task of its own, which continues if the client disconnects.
    let reading = tokio::spawn(async move { feeds.update(urls).await });
    let Ok(outcomes) = reading.await else { return no_book("the subscriptions could not be read") };
    let outcomes: Vec<_> = outcomes.into_iter().map(|(url, result)| feed_update(&url, result)).collect();
    json_response(StatusCode::OK, &outcomes)
}

fn feed_update(url: &I2pUrl, result: FeedResult) -> FeedUpdate {
    let (imported, problem) = match result {
        Ok(report) => (report.map(ImportCounts::from), None),
        Err(error) => (None, Some(error.to_string())),
    };
    FeedUpdate { url: url.text(), imported, problem }
}

impl NameService {
    /// Runs a command on the address book, and applies its effects.
    async fn run(&self, command: BookCommand) -> Result<BookReply, BookCommandError> {
        let shared = self.book().map_err(|why| BookCommandError::Book(why.to_owned()))?;
        let configured = self.configured().to_vec();
        let (changes_names, changes_feeds) = (command.changes_names(), command.changes_feeds());
        let answered = shared.work(move |book| Ok(command.run(book, &configured))).await;
        let answered = answered.map_err(BookCommandError::Book)?;
        let mut reply = answered.map_err(|error| match error {
            BookCommandError::Book(why) => BookCommandError::Book(shared.with_advice(why)),
            error => error,
        })?;
        if changes_names {
            self.forget_resolved();
        }
        if let Some(feeds) = self.feeds() {
            if changes_feeds {
                feeds.subscriptions_changed();
            }
            if let BookReply::Feeds(shown) = &mut reply {
                for feed in shown {
                    feed.problem = feed.url.parse().ok().and_then(|url| feeds.last_error(&url));
                }
            }
        }
        Ok(reply)
    }
}
