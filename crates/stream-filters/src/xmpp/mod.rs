//! XMPP between a client and its server (RFC 6120, RFC 6121), in clear text.
//!
//! A stream is taken apart into stanzas and other elements of its first level (`units.rs`). Each is held until it is complete, judged
//! by the tables in `rules.rs`, and written anew (`rewrite.rs`). Once the server agrees to STARTTLS, the filter lets go.

mod client;
mod reader;
mod rewrite;
mod rules;
mod server;
mod units;

use alloc::vec::Vec;

use self::{
    rules::{ELEMENTS, FEATURES, OFFERS, PAYLOADS, STREAM_PARTS},
    units::{Unit, Units},
};
use crate::{
    Cut, ListedRule, Next, Output,
    rule::{Place, Side, listed},
};

/// The namespace of stanzas, which is that of the stream.
const CLIENT: &[u8] = b"jabber:client";
/// The namespace of STARTTLS.
const TLS: &[u8] = b"urn:ietf:params:xml:ns:xmpp-tls";

pub(crate) fn rules() -> Vec<ListedRule> {
    let elements = listed(ELEMENTS, Side::Client, Place::Element);
    let payloads = listed(PAYLOADS, Side::Client, Place::Namespace);
    let features = listed(FEATURES, Side::Server, Place::Capability);
    let offers = listed(OFFERS, Side::Server, Place::Element);
    let parts = listed(STREAM_PARTS, Side::Server, Place::Parameter);
    elements.chain(payloads).chain(features).chain(offers).chain(parts).collect()
}

/// The filter of a connection.
#[derive(Debug, Default)]
pub(crate) struct Xmpp {
    client: Units,
    server: Units,
    /// The client waits for the server's answer to STARTTLS.
    asks_for_tls: bool,
}

impl Xmpp {
    pub(crate) fn client(&mut self, mut chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        while let Some(unit) = self.client.next(&mut chunk)? {
            if self.asks_for_tls {
                return Err(Cut::EarlyData);
            }
            match unit {
                Unit::Blank(byte) => output.bytes.push(byte),
                Unit::Declaration => output.bytes.extend_from_slice(b"<?xml version='1.0'?>"),
                Unit::StreamStart(tag) => client::stream(&tag, output).map_err(|_| Cut::Markup)?,
                Unit::StreamEnd => output.bytes.extend_from_slice(b"</stream:stream>"),
                Unit::Element(element) => {
                    self.asks_for_tls = client::element(&element, output).map_err(|_| Cut::Markup)?;
                }
            }
        }
        Ok(Next::Filter)
    }

    pub(crate) fn server(&mut self, mut chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        while let Some(unit) = self.server.next(&mut chunk)? {
            match unit {
                Unit::Blank(byte) => output.bytes.push(byte),
                Unit::Declaration => output.bytes.extend_from_slice(b"<?xml version='1.0'?>"),
                Unit::StreamStart(tag) => output.bytes.extend_from_slice(&tag),
                Unit::StreamEnd => output.bytes.extend_from_slice(b"</stream:stream>"),
                Unit::Element(element) => {
                    let agrees = server::element(&element, output).map_err(|_| Cut::Markup)?;
                    if core::mem::take(&mut self.asks_for_tls) && agrees {
                        output.bytes.extend_from_slice(chunk);
                        return Ok(Next::Release);
                    }
                }
            }
        }
        Ok(Next::Filter)
    }
}
