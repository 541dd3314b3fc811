//! An IRC server without channels (RFC 2812): it registers a client and asks whether it is still there.

use anyhow::Result;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// What a client that is registered sends back.
pub const TOKEN: &str = "are-you-there";

/// Serves one client, which has sent these first bytes. Calls `received` with each line that it sends.
pub async fn serve(stream: TcpStream, first: Vec<u8>, mut received: impl FnMut(&str)) -> Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(first.as_slice().chain(reader)).lines();
    while let Some(line) = lines.next_line().await? {
        received(&format!("{line}\n"));
        let answer = match line.split(' ').next() {
            Some("CAP") if line.starts_with("CAP LS") => ":far.end CAP * LS :\r\n".to_owned(),
            // The last command of a registration.
            Some("USER") => format!(
                ":far.end 001 you :Welcome\r\n:far.end 422 you :No message of the day\r\nPING :{TOKEN}\r\n"
            ),
            Some("PING") => ":far.end PONG far.end\r\n".to_owned(),
            _ => continue,
        };
        writer.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}
