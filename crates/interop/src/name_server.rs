//! A name server that knows no names and remembers which ones it was asked for: it shows which programs ask DNS for a name that
//! only the proxy may see.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};
use tokio::{net::UdpSocket, process::Command, task::JoinHandle};

/// Where it listens.
const ADDRESS: (&str, u16) = ("127.0.0.1", 53);
/// The files that tell programs to ask it.
const FILES: [(&str, &str); 2] = [
    ("/etc/resolv.conf", "nameserver 127.0.0.1\n"),
    ("/etc/nsswitch.conf", "passwd: files\nhosts: files dns\n"),
];
/// The length of the header of a message (RFC 1035 section 4.1.1).
const HEADER_BYTES: usize = 12;
/// The flags of an answer that the name does not exist (NXDOMAIN).
const NO_SUCH_NAME: [u8; 2] = [0x81, 0x83];

/// A running name server. It ends when this is dropped.
pub(crate) struct NameServer {
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl NameServer {
    /// Starts it and has all programs of this mount namespace ask it. Its files are in `directory`.
    pub(crate) async fn start(directory: &Path) -> Result<Self> {
        for (place, text) in FILES {
            let file = directory.join(place.replace('/', "_"));
            fs::write(&file, text)?;
            let mounted = Command::new("mount").arg("--bind").args([file.as_path(), place.as_ref()]).status();
            ensure!(mounted.await?.success(), "could not mount a file over {place}");
        }
        let socket = UdpSocket::bind(ADDRESS).await.context("no socket for the name server")?;
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let task = tokio::spawn(serve(socket, Arc::clone(&asked)));
        Ok(Self { asked, task })
    }

    /// The names for which it was asked so far, in lower case.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Checks whether it was asked for this name or for one below it.
    pub(crate) fn was_asked_for(&self, name: &str) -> bool {
        self.asked().iter().any(|asked| asked.contains(name))
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, asked: Arc<Mutex<Vec<String>>>) {
    let mut buffer = [0; 1500];
    // A client that has gone makes one call fail.
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let query = buffer.get(..length).unwrap_or_default();
        if let Some((name, answer)) = answer(query) {
            asked.lock().unwrap_or_else(PoisonError::into_inner).push(name);
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

/// The name that is asked for, and the answer that it does not exist.
fn answer(query: &[u8]) -> Option<(String, Vec<u8>)> {
    let (header, mut rest) = query.split_at_checked(HEADER_BYTES)?;
    let mut labels = Vec::new();
    let mut question_bytes = 5;
    while let Some((&length @ 1.., after)) = rest.split_first() {
        let (label, after) = after.split_at_checked(length.into())?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        question_bytes += 1 + label.len();
        rest = after;
    }
    let question = query.get(HEADER_BYTES..HEADER_BYTES + question_bytes)?;
    let answer = [header.get(..2)?, &NO_SUCH_NAME, &[0, 1, 0, 0, 0, 0, 0, 0], question].concat();
    Some((labels.join("."), answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_asked_for_does_not_exist() {
        let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x01A\x03i2p\0\0\x01\0\x01and more";
        let expected = b"\x12\x34\x81\x83\0\x01\0\0\0\0\0\0\x01A\x03i2p\0\0\x01\0\x01".to_vec();
        assert_eq!(answer(query), Some(("a.i2p".into(), expected)));
        for length in 0..query.len() - 8 {
            assert_eq!(answer(&query[..length]), None, "{length}");
        }
    }
}
