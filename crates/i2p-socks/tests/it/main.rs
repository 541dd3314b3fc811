//! The program as a user runs it. One module per topic, all in one test program, since linking a program takes longer than most
//! of its tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

mod address_book_file;
mod admin_endpoint;
mod before_the_router;
mod blocked_reader;
mod check;
mod check_warnings;
mod connect;
mod connect_udp;
mod core_dumps;
mod datagram_support;
mod demo;
mod early_data;
mod embedded_router;
mod exec;
#[cfg(target_os = "linux")]
mod exec_sockets;
mod files;
mod generate;
mod i2pd_backend;
mod isolation;
mod keys;
mod life;
mod listen;
mod log_privacy;
mod logging;
mod malicious_clients;
mod names;
mod names_feeds;
mod names_jump;
mod notify;
mod orders;
mod own_configuration;
mod own_pages;
mod private_network;
mod readiness;
mod reload;
mod router_process;
mod shutdown;
mod status;
mod stdout;
mod tls_bridge;
mod unix_bridge;
mod usage;
mod ways_in;
