//! The names' part of the control socket.
//!
//! | request | answer |
//! |---|---|
//! | `POST /names` | a [`Reply`] to a [`Question`] |
//! | `POST /names/import` | [`Imported`]; the body is a `hosts.txt` or a feed, the field `feed` what it is called |
//! | `GET /names/export` | a `hosts.txt` |
//! | `POST /names/update` | [`Updated`] of the subscription that the body names, or of all |

use std::{
    io::{self, BufReader, BufWriter},
    sync::Arc,
};

use hyper::{Method, StatusCode};
use i2p_address_book::FeedName;

use super::{
    feeds::Outcome,
    question::{EXPORT, FEED, IMPORT, Imported, NAMES, Question, Refusal, Reply, UPDATE, Updated},
    service::Names,
};
use crate::{
    config::i2p_url::I2pUrl,
    control::{
        pieces::{PieceReader, PieceWriter, sent},
        routes::{Answer, Asked, Routes, json, json_within, problem},
    },
};

/// The largest question: a destination in base64 and what is around it.
const QUESTION: usize = 16 * 1024;
/// What an import is called that has no such field.
const UNNAMED: &str = "import";
/// Bytes of an export that are sent at once.
const CHUNK: usize = 64 * 1024;

/// These routes, too.
pub(crate) fn add(names: &Arc<Names>, routes: Routes) -> Routes {
    let with = || Arc::clone(names);
    let (question, import, export, update) = (with(), with(), with(), with());
    routes
        .on(Method::POST, NAMES, move |asked| told(Arc::clone(&question), asked))
        .on(Method::POST, IMPORT, move |asked| imported(Arc::clone(&import), asked))
        .on(Method::GET, EXPORT, move |_| exported(Arc::clone(&export)))
        .on(Method::POST, UPDATE, move |asked| updated(Arc::clone(&update), asked))
}

fn no_book(why: &str) -> Answer {
    problem(StatusCode::SERVICE_UNAVAILABLE, why)
}

async fn told(names: Arc<Names>, asked: Asked) -> Answer {
    let question = match json_within::<Question>(asked.into_body(), QUESTION).await {
        Ok(question) => question,
        Err(answer) => return answer,
    };
    match names.answer(question).await {
        Ok(reply) => json(StatusCode::OK, &reply),
        Err(Refusal::Question(why)) => problem(StatusCode::CONFLICT, &why),
        Err(Refusal::Book(why)) => no_book(&why),
    }
}

async fn imported(names: Arc<Names>, asked: Asked) -> Answer {
    let book = match names.book() {
        Ok(book) => book,
        Err(why) => return no_book(why),
    };
    let feed = asked.headers().get(FEED).and_then(|value| str::from_utf8(value.as_bytes()).ok());
    let feed = FeedName::new(feed.unwrap_or(UNNAMED));
    let reader = BufReader::new(PieceReader::of(asked.into_body()));
    let report = book.work(move |book| book.import(reader, &feed)).await;
    names.forget();
    match report {
        Ok(report) => json(StatusCode::OK, &Imported::from(report)),
        Err(why) => no_book(&why),
    }
}

#[allow(clippy::unused_async, reason = "handlers are")]
async fn exported(names: Arc<Names>) -> Answer {
    let book = match names.book() {
        Ok(book) => Arc::clone(book.file()),
        Err(why) => return no_book(why),
    };
    let (sender, body) = sent();
    tokio::task::spawn_blocking(move || {
        let writer = BufWriter::with_capacity(CHUNK, PieceWriter(sender.clone()));
        if book.export(writer).is_err() {
            // The reader is gone, or is told so by a body that ends badly.
            let _ = sender.blocking_send(Err(io::ErrorKind::Other.into()));
        }
    });
    Answer::new(body)
}

async fn updated(names: Arc<Names>, asked: Asked) -> Answer {
    let wanted = match json_within::<Option<I2pUrl>>(asked.into_body(), QUESTION).await {
        Ok(wanted) => wanted,
        Err(answer) => return answer,
    };
    if let Err(why) = names.book() {
        return no_book(why);
    }
    let Some(feeds) = names.feeds() else {
        return no_book("the proxy has no router yet: wait until it has said that it is ready");
    };
    let mut urls = feeds.subscriptions().await;
    if let Some(wanted) = wanted {
        urls.retain(|url| *url == wanted);
        if urls.is_empty() {
            return problem(StatusCode::NOT_FOUND, "there is no such subscription");
        }
    }
    let feeds = Arc::clone(feeds);
    // A task of its own: who has gone away meanwhile stops nothing half way.
    let reading = tokio::spawn(async move { feeds.update(urls).await });
    let Ok(outcomes) = reading.await else { return no_book("the subscriptions could not be read") };
    let outcomes: Vec<_> = outcomes.into_iter().map(|(url, outcome)| shown(&url, outcome)).collect();
    json(StatusCode::OK, &outcomes)
}

fn shown(url: &I2pUrl, outcome: Outcome) -> Updated {
    let (imported, problem) = match outcome {
        Ok(report) => (report.map(Imported::from), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Updated { url: url.to_string(), imported, problem }
}

impl Names {
    async fn answer(&self, question: Question) -> Result<Reply, Refusal> {
        let book = self.book().map_err(|why| Refusal::Book(why.to_owned()))?;
        let configured = self.configured().to_vec();
        let (changes_names, changes_feeds) = (question.changes_names(), question.changes_feeds());
        let answered = book.work(move |book| Ok(question.answer(book, &configured))).await;
        let mut reply = answered.map_err(Refusal::Book)??;
        if changes_names {
            self.forget();
        }
        if let Some(feeds) = self.feeds() {
            if changes_feeds {
                feeds.changed();
            }
            if let Reply::Feeds(shown) = &mut reply {
                for feed in shown {
                    feed.problem = feed.url.parse().ok().and_then(|url| feeds.problem(&url));
                }
            }
        }
        Ok(reply)
    }
}
