//! For tests: what happens before others have their turn.

use std::{future::poll_fn, pin::Pin, task::Poll};

/// The outcome of one poll of a future.
pub(super) async fn polled_once<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}
