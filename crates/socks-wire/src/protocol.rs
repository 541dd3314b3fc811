/// The protocol of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// SOCKS4, whose target is an address.
    Socks4,
    /// SOCKS4a, whose target is a host name.
    Socks4a,
    /// SOCKS5.
    Socks5,
}
