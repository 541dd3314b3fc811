//! How the proxy does: `report` is plain data, `collect` fills it from what runs (`current`), and the `board` is asked by pages,
//! commands and the service manager.
//! May import `config`, `pac` and the libraries; never `daemon`, `commands`, `admin` or `names`, which import it.

pub(crate) mod board;
mod collect;
mod condition;
pub(crate) mod current;
pub(crate) mod report;
mod router;
