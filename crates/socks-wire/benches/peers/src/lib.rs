//! This crate has only benchmarks.
