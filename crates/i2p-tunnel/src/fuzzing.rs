//! What the fuzz targets of the workspace check of parsers that are not part of the API (feature `fuzzing`). Each function takes any
//! bytes, and panics if the property does not hold.

pub use crate::{
    connection::{check_address_helper as address_helper, check_http_head as http_head},
    http_message::check_http_requests as http_requests,
    outproxy::fuzzing::{datagram as outproxy_datagram, http_answer as outproxy_http_answer},
};
