use core::net::{IpAddr, Ipv6Addr};

use crate::error::NameError;

/// Parses an IP address in a plain spelling: dotted IPv4, IPv6, or IPv6 in brackets. An IPv4 address embedded in an IPv6
/// address is returned as IPv4, so that it cannot bypass a policy for IPv4.
///
/// Returns `Ok(None)` if the text is not an address, and [`NameError::NumericHost`] for spellings such as `2130706433`,
/// `0x7f.1` or `127.1`, which some resolvers read as addresses and honest clients do not use.
pub(crate) fn parse(text: &str) -> Result<Option<IpAddr>, NameError> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Ok(v6) = inner.unwrap_or(text).parse::<Ipv6Addr>() {
        return Ok(Some(unmap(v6)));
    }
    if inner.is_some() {
        return Err(NameError::MalformedHost("the brackets hold no IPv6 address"));
    }
    if let Ok(v4) = text.parse() {
        return Ok(Some(IpAddr::V4(v4)));
    }
    if text.contains(':') {
        return Err(NameError::MalformedHost(
            "only an IPv6 address contains a colon; ports and zones are not part of a host",
        ));
    }
    // The rule of the WHATWG URL standard: a host whose last label is a number is an IPv4 address or an error.
    let last = text.rsplit('.').next().unwrap_or(text);
    let hexadecimal = last.strip_prefix("0x").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_hexdigit()));
    if hexadecimal || (!last.is_empty() && last.chars().all(|c| c.is_ascii_digit())) {
        return Err(NameError::NumericHost);
    }
    Ok(None)
}

/// Converts an IPv6 address that embeds an IPv4 address to IPv4: `::ffff:a.b.c.d` (mapped) and `::a.b.c.d` (compatible, both
/// RFC 4291 section 2.5.5), `::ffff:0:a.b.c.d` (translated, RFC 2765 section 2.1), `64:ff9b::a.b.c.d` (NAT64, RFC 6052
/// section 2.1).
pub(crate) fn unmap(v6: Ipv6Addr) -> IpAddr {
    let [a, b, c, d, e, f, high, low] = v6.segments();
    let v4 = || {
        let [h0, h1] = high.to_be_bytes();
        let [l0, l1] = low.to_be_bytes();
        IpAddr::from([h0, h1, l0, l1])
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => v4(),
        // :: and ::1 are not IPv4-compatible addresses: they mean unspecified and loopback.
        [0, 0, 0, 0, 0, 0] if (high, low) != (0, 0) && (high, low) != (0, 1) => v4(),
        _ => IpAddr::V6(v6),
    }
}
