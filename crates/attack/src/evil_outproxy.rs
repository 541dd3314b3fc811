//! A SOCKS5 or HTTP CONNECT server of the attacker, which writes down what it is asked for.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

/// An outproxy that writes down the hosts that it is asked for. It answers at once, but never for a host that starts with
/// `hang`, unless it is obliging.
pub(crate) struct EvilOutproxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

/// For which hosts it answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Evil,
    Obliging,
}

/// What it speaks.
#[derive(Clone, Copy)]
pub(crate) enum Language {
    Socks5,
    HttpConnect,
}

impl EvilOutproxy {
    pub(crate) async fn start(language: Language) -> Result<Self> {
        Self::start_with(language, Manner::Evil).await
    }

    /// Starts one that answers for every host.
    pub(crate) async fn start_obliging(language: Language) -> Result<Self> {
        Self::start_with(language, Manner::Obliging).await
    }

    async fn start_with(language: Language, manner: Manner) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, asked) = (listener.local_addr()?, Arc::<Mutex<Vec<String>>>::default());
        let of_task = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let asked = Arc::clone(&of_task);
                tokio::spawn(async move {
                    // The client ends the connection when it has what it wants.
                    let _ = match language {
                        Language::Socks5 => serve_socks5(stream, &asked, manner).await,
                        Language::HttpConnect => serve_http(stream, &asked, manner).await,
                    };
                });
            }
        });
        Ok(Self { address, asked, task: task.abort_handle() })
    }

    /// The configuration of an outproxy with this name.
    pub(crate) fn definition(&self, name: &str, language: Language) -> String {
        let protocol = match language {
            Language::Socks5 => "socks5",
            Language::HttpConnect => "http-connect",
        };
        format!(
            "[[outproxy]]\nname = \"{name}\"\nat = \"{}\"\nvia = \"tcp\"\nprotocol = \"{protocol}\"\n",
            self.address
        )
    }

    /// The hosts that it was asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for EvilOutproxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn write_down(asked: &Mutex<Vec<String>>, host: &str) {
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(host.to_owned());
}

async fn serve_socks5(mut stream: TcpStream, asked: &Mutex<Vec<String>>, manner: Manner) -> Result<()> {
    stream.read_u8().await?;
    let methods = stream.read_u8().await?;
    let mut offered = vec![0; methods.into()];
    stream.read_exact(&mut offered).await?;
    // Credentials that keep clients apart.
    let method = if offered.contains(&2) { 2 } else { 0 };
    stream.write_all(&[5, method]).await?;
    if method == 2 {
        stream.read_u8().await?;
        for _ in 0..2 {
            let length = stream.read_u8().await?;
            stream.read_exact(&mut vec![0; length.into()]).await?;
        }
        stream.write_all(&[1, 0]).await?;
    }
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let [_, _, _, kind] = head;
    let length = match kind {
        1 => 4,
        4 => 16,
        _ => stream.read_u8().await?.into(),
    };
    let mut host = vec![0; length];
    stream.read_exact(&mut host).await?;
    stream.read_u16().await?;
    let host = String::from_utf8_lossy(&host);
    write_down(asked, &host);
    answer(stream, hangs(&host, manner), &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await
}

async fn serve_http(mut stream: TcpStream, asked: &Mutex<Vec<String>>, manner: Manner) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let host = head.split([' ', ':']).nth(1).unwrap_or_default();
    write_down(asked, host);
    answer(stream, hangs(host, manner), b"HTTP/1.1 200 OK\r\n\r\n").await
}

/// Whether it never answers for a host.
fn hangs(host: &str, manner: Manner) -> bool {
    manner == Manner::Evil && host.starts_with("hang")
}

/// Answers unless it hangs, and sends back what it receives.
async fn answer(mut stream: TcpStream, hangs: bool, granted: &[u8]) -> Result<()> {
    if hangs {
        std::future::pending::<()>().await;
    }
    stream.write_all(granted).await?;
    let (mut from, mut to) = stream.split();
    tokio::io::copy(&mut from, &mut to).await?;
    Ok(())
}
