//! A piece of work to measure.

/// A piece of work to measure.
pub(crate) struct Work {
    /// Its name.
    pub(crate) name: &'static str,
    /// Does the work once. The result proves that it was done.
    pub(crate) run: fn() -> usize,
    /// The expected result.
    pub(crate) expected: usize,
}

impl Work {
    /// Checks the result before the measurement, because work that is not done costs nothing.
    pub(crate) fn check(&self) {
        assert_eq!((self.run)(), self.expected, "{} does not do its work", self.name);
    }
}
