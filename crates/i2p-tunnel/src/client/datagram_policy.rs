/// What a tunnel does with its clients' datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DatagramPolicy {
    /// Whether a client also receives datagrams from peers that it has not sent any to.
    pub accept_unsolicited: bool,
    /// Whether fragments from the client are reassembled. Otherwise they are dropped, which RFC 1928 section 7 allows.
    pub reassemble_fragments: bool,
}
