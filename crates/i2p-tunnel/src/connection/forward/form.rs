//! Parameters as URLs and forms have them (`application/x-www-form-urlencoded`).

/// The pairs of a query or a form, as they were sent.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The only value of a parameter, decoded; `None` if there is none, or several.
pub(super) fn value(text: &str, name: &str) -> Option<String> {
    let mut values = pairs(text).filter(|(key, _)| decoded(key).as_deref() == Some(name));
    let (_, value) = values.next()?;
    if values.next().is_some() { None } else { decoded(value) }
}

/// Decodes a name or a value; `None` if it is malformed or not UTF-8.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Encodes a value so that it can stand in a query.
pub(super) fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_to_the_same() {
        let text = "http://a.i2p:81/b c?d=e&f=%41+\u{e9}~";
        assert_eq!(decoded(&encoded(text)).as_deref(), Some(text));
        assert!(!encoded(text).contains(['&', '=', '+', ' ', '?', '/']));
    }

    #[test]
    fn a_value_is_given_once() {
        assert_eq!(value("a=1&%62=x%20+y&c", "b").as_deref(), Some("x  y"));
        assert_eq!(value("c", "c").as_deref(), Some(""));
        for (text, name) in [("a=1", "b"), ("b=1&b=1", "b"), ("b=1&%62=2", "b"), ("b=%", "b"), ("b=%4", "b")]
        {
            assert_eq!(value(text, name), None, "{text}");
        }
        assert_eq!((decoded("%zz"), decoded("%ff"), decoded("%+1")), (None, None, None));
    }
}
