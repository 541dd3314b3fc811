//! Opening what clients ask for: the trait [`Dial`], by sessions alone, and with outproxies where routes say so.
//!
//! Imports all rooms below: sessions, outproxy, route, stream, client and failure. Nothing here knows which protocol a client speaks.

mod interface;
mod routed;
mod sam;

pub use self::{
    interface::Dial,
    routed::{RoutedDialler, UnknownOutproxy},
};
