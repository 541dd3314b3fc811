//! The tunnel server as its clients see it, on a SAM bridge of the test kit. There is one module for each promise, and one
//! program for all of them, since linking a program takes longer than most of its tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

mod abandoned;
mod authentication;
mod bind;
mod caps;
mod closed_clients;
#[cfg(unix)]
mod contained;
mod dial_from_outside;
mod dns;
mod draining;
mod examples;
mod extended_errors;
mod failure_table;
mod fair_shares;
mod filtering;
mod http_address_helper;
mod http_connect;
mod http_desync;
mod http_forward;
mod http_headers;
mod http_idle;
mod http_interim;
mod http_own_site;
mod http_pages;
mod http_sites;
mod http_smuggling;
mod http_streams;
mod idle_associations;
mod last_resort;
mod layered_streams;
mod long_destinations;
mod method_selection;
mod metrics;
mod name_isolation;
mod odd_clients;
mod outproxy_blame;
mod outproxy_failover;
mod outproxy_isolation;
mod outproxy_protocols;
mod outproxy_routes;
mod panics;
mod protocols;
mod relaying;
mod request_rate;
mod resolve;
mod router_answers;
mod router_lost;
mod session_return;
mod sessions;
mod several_routers;
mod udp_associate;
mod udp_outside;
mod udp_source;
mod unix_sockets;
mod virtual_addresses;
