//! What a person sees who started the program: output, progress and the log.
//! May import `config` and `failure`, and nothing else of this crate.

pub(crate) mod log;
pub(crate) mod output;
pub(crate) mod progress;
