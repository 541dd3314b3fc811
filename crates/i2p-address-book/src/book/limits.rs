/// The limits of an address book. The file takes some 1,500 bytes for each name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Names in the book. Default: 1,000,000.
    pub max_entries: u64,
    /// Names in the book from one source. Default: 250,000.
    pub max_entries_per_source: u64,
    /// Bytes of one import; more are not read. Default: 64 MiB, enough for 100,000 names.
    pub max_import_bytes: u64,
    /// Conflicts kept; the oldest are dropped first. Default: 10,000.
    pub max_conflicts: u64,
    /// Removed names remembered, so that no feed adds them again; the oldest are dropped first. Default: 100,000.
    pub max_removed: u64,
    /// Subscriptions. The states of twice as many feeds are kept. Default: 100.
    pub max_subscriptions: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_entries: 1_000_000,
            max_entries_per_source: 250_000,
            max_import_bytes: 64 * 1024 * 1024,
            max_conflicts: 10_000,
            max_removed: 100_000,
            max_subscriptions: 100,
        }
    }
}
