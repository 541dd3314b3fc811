#![doc = include_str!("../README.md")]

#[forbid(unsafe_code)]
pub mod gate;
#[forbid(unsafe_code)]
pub mod packet;
pub mod sandbox;
