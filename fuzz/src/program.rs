//! Targets for parsers of the program. A program exports nothing, so their sources are compiled here once more.

#[path = "../../crates/i2p-socks/src/config/i2p_url.rs"]
mod i2p_url;
#[path = "../../crates/i2p-socks/src/names/jump_link.rs"]
mod jump_link;

use i2p_name::{HostName, I2pName};

use self::i2p_url::I2pUrl;

/// A jump service's answer, after the name that was asked for and a newline: a destination in it stands in a link to that name.
///
/// # Panics
/// If the property does not hold.
pub fn jump_answer(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Some((name, answer)) = text.split_once('\n') else { return };
    let Ok(name) = name.parse::<HostName>() else { return };
    let Some(destination) = jump_link::destination_in(answer, &name) else { return };
    let link = format!("http://{}/?i2paddresshelper={}", name.as_str(), destination.to_base64());
    assert_eq!(jump_link::destination_in(&link, &name), Some(destination), "{link}");
}

/// A feed's URL and a redirection from it, separated by a newline: both lead into I2P only, and neither can break out of a request.
///
/// # Panics
/// If the property does not hold.
pub fn feed_url(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (url, location) = text.split_once('\n').unwrap_or((&text, ""));
    let Ok(url) = url.parse::<I2pUrl>() else { return };
    let asked = "a.i2p".parse().map(|name| url.with_name(&name));
    let urls = [Some(url.clone()), url.join(location).ok(), asked.ok()];
    for url in urls.into_iter().flatten() {
        assert!(!matches!(url.host(), I2pName::Destination(_)) && url.port() != 0);
        assert!(
            url.path().starts_with('/') && url.path().bytes().all(|byte| byte.is_ascii_graphic()),
            "{}",
            url.path()
        );
        assert!(url.authority().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte)));
        let canonical = url.text();
        // A path and a name that are added can make it longer than a URL may be.
        if let Ok(again) = canonical.parse::<I2pUrl>() {
            assert_eq!(again, url, "{canonical}");
        }
    }
}
