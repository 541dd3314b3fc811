use std::io;

use tokio::io::AsyncWriteExt;

use crate::Socket;

const PAGE: &str = "<!doctype html>
<html lang=\"en\"><meta charset=\"utf-8\"><title>This is a SOCKS proxy</title>
<h1>This is a SOCKS proxy, not an HTTP proxy</h1>
<p>This port belongs to i2p-socks, a way into the I2P network for programs that speak SOCKS. Your program spoke
HTTP to it.</p>
<ul>
<li>In a browser: enter this address and port as <b>SOCKS host</b>, version 5, switch on \"Proxy DNS when using
SOCKS v5\", and leave the HTTP and HTTPS proxy fields empty.</li>
<li>curl: <code>curl --socks5-hostname HOST:PORT http://example.i2p/</code></li>
</ul>
";

/// Tells a client that spoke HTTP what this port is. Says nothing of what the client asked for.
pub(crate) async fn send(client: &mut Socket) -> io::Result<()> {
    let response = format!(
        "HTTP/1.1 501 Not Implemented\r\n\
         Content-Type: text/html; charset=utf-8\r\n\
         Content-Length: {}\r\n\
         Cache-Control: no-store\r\n\
         Connection: close\r\n\
         \r\n\
         {PAGE}",
        PAGE.len()
    );
    client.write_all(response.as_bytes()).await
}
