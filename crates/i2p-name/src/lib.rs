#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod address_shares;
mod b32;
pub mod base64;
mod blinded;
mod certificate;
mod confusables;
mod destination;
mod disguise;
mod error;
mod host;
mod international;
mod ip;
mod key_type;
mod punycode;
mod service;
mod target;
mod virtual_addresses;
mod virtual_ranges;

pub use b32::B32;
pub use blinded::BlindedName;
pub use confusables::look_alikes;
pub use destination::Destination;
pub use error::NameError;
pub use host::{ClearNetHost, HostName, ImportRefusal};
pub use key_type::{EncryptionType, SignatureType};
pub use service::{ServiceRecord, ServiceTarget, is_service};
pub use target::{I2pName, NamedTarget, Target};
pub use virtual_addresses::{AddressError, Family, VirtualAddresses, VirtualOptions};
pub use virtual_ranges::{RangeError, VirtualRanges};
