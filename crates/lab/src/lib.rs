//! Private I2P networks of real i2pd routers, in Linux namespaces that nothing leaves.
//!
//! The suites (`interop`, `gateway`, `contained`, `socks-conformance`, `http-conformance`, `soak`, `bench`) are programs of their own, which `cargo xtask` starts. They
//! share what is here:
//!
//! | module | what it does |
//! |---|---|
//! | [`suite`] | runs a suite: outside its namespaces, then inside |
//! | [`namespace`] | makes network namespaces, hosts with cables, and links with latency, loss and reordering |
//! | [`router`] | runs i2pd routers |
//! | [`network`], [`formation`] | forms a network of them; once more if the first one does not come up |
//! | [`site`], [`echo`], [`exits`] | publishes services in the network: a web site, an echo for datagrams, ways out of I2P |
//! | [`proxy`], [`server`] | runs our proxy, and other servers |
//! | [`curl`], [`requests`], [`association`] | sends what clients of a proxy send |
//! | [`irc`], [`sshd`] | serves IRC and SSH |
//! | [`shell`], [`nftables`] | runs command lines; loads rules and reads what they count |
//! | [`signals`] | sends signals to processes |
//! | [`wait`] | waits for a condition within a limit |

#![forbid(unsafe_code)]

pub mod association;
pub mod curl;
pub mod dante;
pub mod echo;
pub mod exits;
pub mod formation;
pub mod irc;
pub mod namespace;
pub mod network;
pub mod nftables;
pub mod payload;
pub mod ports;
pub mod proxy;
pub mod requests;
pub mod router;
pub mod server;
pub mod sessions;
pub mod shell;
pub mod signals;
pub mod site;
pub mod sshd;
pub mod suite;
pub mod wait;
