//! A person on an IRC server, without a filter.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

use crate::services::OFFSET;

/// How long a person waits for something, and how long a program may take to start.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Person {
    name: String,
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    /// All lines so far.
    pub(super) heard: Vec<String>,
}

impl Person {
    /// Connects to the server behind the recorder at this port.
    pub(super) async fn connect(name: &str, port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port + OFFSET)).await?;
        let (reader, writer) = stream.into_split();
        let lines = BufReader::new(reader).lines();
        let mut person = Self { name: name.to_owned(), lines, writer, heard: Vec::new() };
        person.say(&format!("NICK {name}\r\nUSER {name} 0 * :{name}")).await?;
        person.hears(&[&format!(" 001 {name}")]).await?;
        Ok(person)
    }

    pub(super) async fn say(&mut self, text: &str) -> Result<()> {
        let lines = format!("{text}\r\n");
        self.writer.write_all(lines.as_bytes()).await.context("the server is gone")
    }

    /// Waits for one line with each of these, in whatever order.
    pub(super) async fn hears(&mut self, all: &[&str]) -> Result<()> {
        let mut missing = all.to_vec();
        let hearing = async {
            while !missing.is_empty() {
                let Some(line) = self.lines.next_line().await? else { bail!("the server has closed") };
                if line.starts_with("PING") {
                    self.writer.write_all(line.replacen("PING", "PONG", 1).as_bytes()).await?;
                    self.writer.write_all(b"\r\n").await?;
                }
                missing.retain(|what| !line.contains(what));
                self.heard.push(line);
            }
            Ok(())
        };
        let heard = timeout(PATIENCE, hearing).await.context("the person waits in vain").flatten();
        heard.with_context(|| format!("{} has not heard {missing:?}, but {:#?}", self.name, self.heard))
    }
}
