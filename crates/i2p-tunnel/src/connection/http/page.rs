//! The page for clients that mistake the proxy for a web server.

use super::answer::response;

const PAGE: &str = "<!doctype html>
<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">
<meta name=\"color-scheme\" content=\"light dark\"><title>This is a SOCKS proxy</title>
<h1>This is a SOCKS proxy, not a web server</h1>
<p>This port belongs to i2p-socks, a way into the I2P network for programs that know a SOCKS or HTTP proxy. Your program
asked it for a page.</p>
<ul>
<li>In a browser: enter this address and port as <b>SOCKS host</b>, version 5, switch on \"Proxy DNS when using
SOCKS v5\", and leave the HTTP proxy field empty. Or enter it as <b>HTTP proxy</b>, also for HTTPS.</li>
<li>curl: <code>curl --socks5-hostname HOST:PORT http://example.i2p/</code>, or
<code>curl -x http://HOST:PORT http://example.i2p/</code></li>
</ul>
";

/// The same for programs, and for people who try curl.
const TEXT: &str = "This is i2p-socks, a SOCKS and HTTP proxy into I2P, and not a web server. Use its address and port as a proxy:
curl --socks5-hostname HOST:PORT http://example.i2p/
curl -x http://HOST:PORT http://example.i2p/
What the proxy says of itself: curl -x http://HOST:PORT http://proxy.i2p/
";

/// Explains what this port is for, and links to the status page if there is one. It does not repeat what the client asked for.
pub(super) fn explanation(status_page: Option<&str>, as_html: bool) -> String {
    if !as_html {
        let status = status_page.map(|url| format!("Its status: {url}\n"));
        return response(501, "", "text/plain", &format!("{TEXT}{}", status.unwrap_or_default()));
    }
    let link = status_page.map(|url| {
        let url = escaped(url);
        format!("<p>Status of the proxy: <a href=\"{url}\">{url}</a></p>\n")
    });
    response(501, "", "text/html", &format!("{PAGE}{}", link.unwrap_or_default()))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_page_is_linked_if_there_is_one() {
        assert!(!explanation(None, true).contains("<a "));
        assert!(
            explanation(Some("http://127.0.0.1:1/"), false).ends_with("\nIts status: http://127.0.0.1:1/\n")
        );
        let page = explanation(Some("http://127.0.0.1:1/?a&\"><script>"), true);
        assert!(page.contains("<a href=\"http://127.0.0.1:1/?a&amp;&quot;&gt;&lt;script&gt;\">"), "{page}");
    }
}
