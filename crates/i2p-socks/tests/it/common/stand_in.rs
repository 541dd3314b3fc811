//! A fake proxy: a listener of the test that commands take for the running proxy.

use std::{fs, os::unix::net::UnixListener};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::lab::Lab;

/// A listener that commands take for the running proxy.
pub(crate) async fn fake_proxy(lab: &Lab) -> (TcpListener, UnixListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let control = UnixListener::bind(lab.state().join("control.sock")).unwrap();
    let ports =
        format!("{{\"pid\": 1, \"listeners\": [{{\"tunnel\": \"default\", \"address\": \"{address}\"}}]}}");
    fs::write(lab.state().join("ports.json"), ports).unwrap();
    (listener, control)
}

/// Accepts a SOCKS5 client and answers its greeting; its request comes next.
pub(crate) async fn greeted(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.read_exact(&mut [0; 3]).await.unwrap();
    stream.write_all(&[5, 0]).await.unwrap();
    stream
}
