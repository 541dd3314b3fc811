//! A WebSocket (RFC 6455) that sends back what it receives.

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64;
use sha1::{Digest, Sha1};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Every server adds it to the key of the client (section 4.2.2).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Answers the request with this head, and sends back each short frame without the mask, also the one that closes.
pub(super) async fn echo(mut stream: TcpStream, head: &str) -> Result<()> {
    let key = head.lines().find(|line| line.to_ascii_lowercase().starts_with("sec-websocket-key:"));
    let key = key.and_then(|line| line.split_once(": ")).context("no key of a WebSocket")?.1;
    let accept = accept(key);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).await?;
        let [first, length] = head;
        ensure!((0x80..0x80 + 126).contains(&length), "a frame without a mask, or a long one");
        let mut frame = vec![0; 4 + usize::from(length & 0x7f)];
        stream.read_exact(&mut frame).await?;
        let (mask, data) = frame.split_at(4);
        let data: Vec<u8> = data.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        stream.write_all(&[&[first, length & 0x7f][..], &data].concat()).await?;
    }
}

fn accept(key: &str) -> String {
    BASE64.encode(&Sha1::digest(format!("{key}{GUID}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Section 1.3.
    #[test]
    fn a_key_is_answered_as_in_the_rfc() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
