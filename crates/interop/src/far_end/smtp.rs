//! A mail server that accepts each letter (RFC 5321).

use anyhow::Result;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::Received;

/// Serves one client. Each line that it sends is recorded.
pub(super) async fn serve(stream: TcpStream, received: &Received) -> Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 far end\r\n").await?;
    let mut is_in_letter = false;
    while let Some(line) = lines.next_line().await? {
        received.add(&format!("{line}\n"));
        let answer = match (is_in_letter, line.get(..4).unwrap_or(&line)) {
            (true, _) if line != "." => continue,
            (true, _) => "250 the letter is here",
            (false, "DATA") => "354 go on",
            (false, "QUIT") => "221 goodbye",
            (false, _) => "250 far end",
        };
        is_in_letter = answer.starts_with("354");
        writer.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}
