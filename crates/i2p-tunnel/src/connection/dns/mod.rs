//! DNS: names become virtual addresses, and these become names again. Nobody else is asked.

mod answers;
mod datagrams;
mod stream;

pub(super) use self::{datagrams::serve_datagrams, stream::serve_stream};
