//! For tests: what happens before others have their turn.

use std::{future::poll_fn, pin::Pin, task::Poll};

/// What a future comes to when it is polled once.
pub(super) async fn polled_once<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}
