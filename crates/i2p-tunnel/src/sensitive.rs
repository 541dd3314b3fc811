use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// Whether [`Sensitive`] values are shown.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// Has [`Sensitive`] values shown from now on, in the whole process, or not. They are not unless this is called.
pub fn show_sensitive(shown: bool) {
    SHOWN.store(shown, Relaxed);
}

/// Something that tells who a client is or where it goes: a host, an address, a credential. However it is written out, it is
/// `[scrubbed]`, unless [`show_sensitive`] was called.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sensitive<T>(pub T);

impl<T: fmt::Display> fmt::Display for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if SHOWN.load(Relaxed) { self.0.fmt(f) } else { f.write_str("[scrubbed]") }
    }
}

/// As [`fmt::Display`] says it.
impl<T: fmt::Display> fmt::Debug for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
