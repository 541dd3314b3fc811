//! Open streams: sockets, layers over them, relaying between two of them, and how they are stopped.
//!
//! Imports `limits`. Nothing here knows who a client is or how a stream was opened.

mod half_closed;
mod layer;
mod open_stream;
mod relay;
#[cfg(target_os = "linux")]
pub(crate) mod sock_diag;
mod socket;
mod stage;
mod stop;
mod tcp_options;

pub(crate) use self::{
    half_closed::EarlyEnd,
    relay::{RelayEnd, RelayStart, discard, relay},
    socket::any_port_on,
};
pub use self::{
    half_closed::{HalfClosedStream, Hold},
    layer::Layer,
    open_stream::{ClientFin, OpenStream},
    socket::Socket,
    stage::{SharedStage, Side, Stage},
    stop::Stop,
};
