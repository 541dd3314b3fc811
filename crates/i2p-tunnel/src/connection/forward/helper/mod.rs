//! Address helpers: links that say which destination a name has. None is followed before the person has agreed, except to what is
//! known already.

mod link;
mod page;
mod request;
mod url;

#[cfg(feature = "fuzzing")]
pub use self::url::check_address_helper;
pub(super) use self::{
    page::{choose, show},
    request::{Next, PATH, check},
};
