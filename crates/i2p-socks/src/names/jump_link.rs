//! The link in a jump service's answer.

use i2p_name::{Destination, HostName};

/// The parameter with the destination in such a link.
const HELPER: &str = "i2paddresshelper=";
/// The longest link, without its destination.
const MAX_LINK_BYTES: usize = 512;

/// The destination in the first link to this host that contains one.
pub(super) fn destination_in(text: &str, host: &HostName) -> Option<Destination> {
    text.match_indices(HELPER).find_map(|(at, _)| {
        let (before, after) = (text.get(..at)?, text.get(at + HELPER.len()..)?);
        let link = before.get(before.rfind("http://")?..)?;
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '<' | '>');
        if link.len() > MAX_LINK_BYTES || !link.chars().all(plain) {
            return None;
        }
        let to = link.strip_prefix("http://")?.split(['/', '?', ':']).next()?;
        if to.parse::<HostName>().ok()? != *host {
            return None;
        }
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && !"-~=%".contains(c));
        let value = end.map_or(Some(after), |end| after.get(..end))?;
        let plain = value.replace("%3D", "=").replace("%3d", "=").replace("%7E", "~").replace("%7e", "~");
        plain.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(fill: u8) -> Destination {
        Destination::from_bytes([&[fill; 384][..], &[0, 0, 0]].concat()).unwrap()
    }

    #[test]
    fn only_a_link_to_the_host_is_used() {
        let (ours, other) = (destination(1), destination(2));
        let host = "wanted.i2p".parse().unwrap();
        let base64 = ours.to_base64();
        for text in [
            format!("http://wanted.i2p/?i2paddresshelper={base64}"),
            format!("<a href=\"http://Wanted.i2p/?i2paddresshelper={base64}\">here</a>"),
            format!(
                "<a href='http://wanted.i2p:80/a?b=c&amp;i2paddresshelper={}&d'>",
                base64.replace('~', "%7E")
            ),
            format!(
                "<a href=http://other.i2p/?i2paddresshelper={}> <a href=http://wanted.i2p?i2paddresshelper={base64}>",
                other.to_base64()
            ),
        ] {
            assert_eq!(destination_in(&text, &host), Some(ours.clone()), "{text}");
        }
        for text in [
            String::new(),
            HELPER.into(),
            format!("i2paddresshelper={base64}"),
            format!("http://other.i2p/?i2paddresshelper={base64}"),
            format!("http://wanted.i2p.other.i2p/?i2paddresshelper={base64}"),
            format!("http://wanted.i2p/\" i2paddresshelper={base64}"),
            format!("http://wanted.i2p/{}?i2paddresshelper={base64}", "a".repeat(MAX_LINK_BYTES)),
            format!("http://wanted.i2p/?i2paddresshelper={}", base64.get(..500).unwrap()),
            "http://wanted.i2p/?i2paddresshelper=wanted.i2p".into(),
            format!("http://wanted.i2p/?i2paddresshelper={}.b32.i2p", "a".repeat(52)),
            "http://wanted.i2p/?i2paddresshelper=\u{fffd}".into(),
        ] {
            assert_eq!(destination_in(&text, &host), None, "{text}");
        }
    }
}
