/// The authority and the rest of an `http://` URL; `None` for any other text.
fn split(url: &[u8]) -> Option<(&[u8], &[u8])> {
    let (scheme, rest) = url.split_at_checked(7)?;
    if !scheme.eq_ignore_ascii_case(b"http://") {
        return None;
    }
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    Some(rest.split_at(end))
}

/// Whether two authorities are the same, with or without the port that is the default.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let without_port = |authority| strip_suffix(authority, b":80");
    without_port(one).eq_ignore_ascii_case(without_port(other))
}

fn strip_suffix<'a>(text: &'a [u8], suffix: &[u8]) -> &'a [u8] {
    text.strip_suffix(suffix).unwrap_or(text)
}

/// Whether a URL is one of this site.
pub(crate) fn is_of(url: &[u8], authority: &str) -> bool {
    split(url).is_some_and(|(of, _)| is_same(of, authority.as_bytes()))
}

/// The path and the query of a URL of this site; `None` if it is of another one.
pub(super) fn path_of<'a>(url: &'a [u8], authority: &str) -> Option<&'a [u8]> {
    let (of, path) = split(url)?;
    let path = path.split(|&byte| byte == b'#').next().unwrap_or_default();
    match path {
        [b'/', ..] => is_same(of, authority.as_bytes()).then_some(path),
        // Without a path, there is nothing to keep.
        _ => None,
    }
}
