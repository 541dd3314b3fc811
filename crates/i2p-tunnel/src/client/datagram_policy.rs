/// Whether, and how, a tunnel's clients may send datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DatagramPolicy {
    /// Whether datagrams of peers that a client has not sent anything to are for the client too.
    pub accept_unsolicited: bool,
    /// Whether datagrams that the client sends in fragments are put together. Else they are dropped, which the RFC allows.
    pub reassemble_fragments: bool,
}
