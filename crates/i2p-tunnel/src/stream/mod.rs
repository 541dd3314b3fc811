//! Open streams: sockets, what a dialler opens, relaying between two of them, and how they are told to stop.
//!
//! Imports limits. Nothing here knows who a client is, or by which way a stream was opened.

mod layer;
mod opened;
mod relay;
mod socket;
mod stop;

pub use self::{
    layer::Layer,
    opened::{ClientEnd, Opened},
    socket::Socket,
    stop::Stop,
};
pub(crate) use self::{
    relay::{End, discard, relay},
    socket::beside,
};
