#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod b32;
pub mod base64;
mod destination;
mod error;
mod host;
mod ip;
mod target;
mod virtual_addresses;
mod virtual_ranges;

pub use b32::{B32, BlindedName};
pub use destination::Destination;
pub use error::NameError;
pub use host::{ClearNetHost, HostName};
pub use target::{I2pName, Target};
pub use virtual_addresses::{AddressError, Family, VirtualAddresses, VirtualOptions};
pub use virtual_ranges::{RangeError, VirtualRanges};
