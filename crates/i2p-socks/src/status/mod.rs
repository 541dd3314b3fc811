//! The status of the running proxy. `report` is plain data, `collect` builds it from the running parts (`active`), and pages, the
//! control socket and the service manager read it from the `board`.
//! May import `pac`, `listener` and the libraries; never `daemon`, `commands` or `admin`, which import it.

pub(crate) mod active;
pub(crate) mod address_book;
pub(crate) mod board;
pub(crate) mod bridge_advice;
mod collect;
mod condition;
#[cfg_attr(
    not(any(target_os = "linux", all(unix, feature = "embedded"))),
    expect(dead_code, reason = "the proxy runs no router of its own there")
)]
pub(crate) mod own_router;
mod reloads;
pub(crate) mod report;
mod router;
