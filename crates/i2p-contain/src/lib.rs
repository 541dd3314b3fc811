#![doc = include_str!("../README.md")]

#[forbid(unsafe_code)]
pub mod gate;
#[forbid(unsafe_code)]
pub mod link;
#[cfg(target_os = "linux")]
#[forbid(unsafe_code)]
pub mod network;
#[forbid(unsafe_code)]
pub mod packet;
pub mod sandbox;
