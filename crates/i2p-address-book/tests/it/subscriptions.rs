//! Subscriptions and the states of feeds are kept when the program ends, and are bounded.

use std::time::{Duration, UNIX_EPOCH};

use i2p_address_book::{AddressBook, BookError, FeedName, FeedState, Limits};

fn state(etag: &str, seconds: u64) -> FeedState {
    FeedState {
        etag: Some(etag.into()),
        last_modified: None,
        checked: Some(UNIX_EPOCH + Duration::from_secs(seconds)),
    }
}

#[test]
fn subscriptions_and_states_are_kept_when_the_book_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("names.redb");
    let (a, b) = (FeedName::new("http://a.i2p/hosts.txt"), FeedName::new("http://b.i2p/hosts.txt"));
    let book = AddressBook::open(&path).unwrap();
    assert_eq!(book.subscriptions().unwrap(), []);
    assert_eq!(book.feed_state(&a).unwrap(), FeedState::default());
    book.set_feed_state(&a, &state("\"1\"", 7)).unwrap();
    assert!(book.subscribe(&a).unwrap() && !book.subscribe(&a).unwrap());
    book.set_feed_state(&b, &state("\"2\"", 8)).unwrap();
    drop(book);
    let book = AddressBook::open(&path).unwrap();
    assert_eq!(book.subscriptions().unwrap(), std::slice::from_ref(&a));
    assert_eq!(book.feed_state(&a).unwrap(), state("\"1\"", 7));
    assert_eq!(book.feed_state(&b).unwrap(), state("\"2\"", 8), "the state of a feed without a subscription");
    assert!(book.unsubscribe(&a).unwrap() && !book.unsubscribe(&a).unwrap());
    assert!(!book.unsubscribe(&b).unwrap());
    assert_eq!(book.subscriptions().unwrap(), []);
    assert_eq!(
        book.feed_state(&a).unwrap(),
        FeedState::default(),
        "a new subscription starts with an empty state"
    );
    assert_eq!(book.feed_state(&b).unwrap(), state("\"2\"", 8));
}

#[test]
fn subscriptions_states_and_validators_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { max_subscriptions: 2, ..Limits::default() };
    let book = AddressBook::open_with(dir.path().join("names.redb"), limits).unwrap();
    let feed = |number: u64| FeedName::new(&format!("http://{number}.i2p/"));
    assert!(book.subscribe(&feed(1)).unwrap() && book.subscribe(&feed(2)).unwrap());
    assert!(matches!(book.subscribe(&feed(3)), Err(BookError::TooManySubscriptions)));
    for number in (3..10).rev() {
        book.set_feed_state(&feed(number), &state("x", number)).unwrap();
    }
    let known = |number| book.feed_state(&feed(number)).unwrap().checked.is_some();
    assert_eq!(
        (3..10).filter(|&number| known(number)).collect::<Vec<_>>(),
        [3, 9],
        "the one stored last and the one checked last are kept"
    );
    assert_eq!(book.subscriptions().unwrap(), [feed(1), feed(2)]);
    book.set_feed_state(&feed(1), &state(&"x".repeat(300), 1)).unwrap();
    assert_eq!(book.feed_state(&feed(1)).unwrap().etag, None);
}
