use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// Whether [`Sensitive`] values are shown.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// Sets whether the log shows names, addresses and other sensitive values, for the whole process and from now on. Initially they
/// are hidden.
pub fn show_sensitive(shown: bool) {
    SHOWN.store(shown, Relaxed);
}

/// A value that identifies a client, its target or its user: a host, an address, a URL, a credential. `Display` and `Debug` write
/// `[scrubbed]` unless [`show_sensitive`] allows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sensitive<T>(pub T);

impl<T: fmt::Display> fmt::Display for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if SHOWN.load(Relaxed) { self.0.fmt(f) } else { f.write_str("[scrubbed]") }
    }
}

/// Writes the same as [`fmt::Display`].
impl<T: fmt::Display> fmt::Debug for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
