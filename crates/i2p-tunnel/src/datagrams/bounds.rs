/// The longest datagram over UDP.
pub(super) const MAX_DATAGRAM: usize = 65_535;
/// Outproxies whose relays one client has at the same time.
pub(super) const MAX_EXITS: usize = 8;
