#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod query;
mod question;

pub use self::{
    query::{Answer, MAX_ANSWER_BYTES, MAX_QUERY_BYTES, Query, Rejected},
    question::{Family, Question},
};
