//! The only name server inside the namespace, for proxies that let the system resolve names.

use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    path::Path,
    process::Command,
    thread,
};

use anyhow::{Context, Result, ensure};

/// The only name with an address, which is 127.0.0.1. Its domain is reserved for tests (RFC 6761).
pub(crate) const HOST: &str = "far.test";
/// A name that does not exist.
pub(crate) const UNKNOWN: &str = "nobody.test";

/// Starts it on port 53 of 127.0.0.1, and makes it the only name server of every program in this mount namespace.
pub(crate) fn start(lab: &Path) -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).context("no port for the name server")?;
    replace(lab, "/etc/resolv.conf", "nameserver 127.0.0.1\n")?;
    // Otherwise the system may ask a daemon outside the namespace, through a socket in the file system.
    replace(lab, "/etc/nsswitch.conf", "hosts: files dns\npasswd: files\ngroup: files\nshadow: files\n")?;
    thread::spawn(move || serve(&socket));
    Ok(())
}

fn serve(socket: &UdpSocket) {
    let mut query = [0; 512];
    while let Ok((length, client)) = socket.recv_from(&mut query) {
        if let Some(response) = respond(query.get(..length).unwrap_or_default()) {
            // A client that has gone needs no response.
            let _ = socket.send_to(&response, client);
        }
    }
}

/// Mounts a file over one of the system, in this mount namespace only.
fn replace(lab: &Path, file: &str, content: &str) -> Result<()> {
    let name = Path::new(file).file_name().context("a file without a name")?;
    let replacement = lab.join(name);
    fs::write(&replacement, content)?;
    let output = Command::new("mount").arg("--bind").arg(&replacement).arg(file).output();
    let output = output.context("could not start mount")?;
    ensure!(output.status.success(), "mount over {file}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// The response (RFC 1035 section 4): the address for [`HOST`] and type A, no record for other types, and "no such name" for
/// other names. Returns nothing for an invalid query.
fn respond(query: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    let id = query.get(..2)?;
    let mut end = HEADER;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(end)?);
        end += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(end..end + length)?).to_ascii_lowercase());
        end += length;
    }
    let kind = query.get(end..end + 4)?;
    let question = query.get(HEADER..end + 4)?;
    let is_known = labels.join(".") == HOST;
    let has_address = is_known && kind == [0, 1, 0, 1];
    // A response, authoritative, recursion desired and available; RCODE 3 is "no such name".
    let flags = [0x85, if is_known { 0x80 } else { 0x83 }];
    let mut response = [id, &flags, &[0, 1, 0, u8::from(has_address), 0, 0, 0, 0], question].concat();
    if has_address {
        // The name again, type A, class IN, 60 s, 4 bytes.
        response.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &[&str], kind: u8) -> Vec<u8> {
        let mut query = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name {
            query.push(u8::try_from(label.len()).unwrap());
            query.extend(label.as_bytes());
        }
        query.extend([0, 0, kind, 0, 1]);
        query
    }

    #[test]
    fn one_name_has_an_address() {
        let response = respond(&query(&["FAR", "test"], 1)).unwrap();
        assert_eq!(response[..8], [7, 9, 0x85, 0x80, 0, 1, 0, 1]);
        assert!(response.ends_with(&[0, 4, 127, 0, 0, 1]));
    }

    #[test]
    fn other_names_do_not_exist_and_other_types_have_no_record() {
        let response = respond(&query(&["nobody", "test"], 1)).unwrap();
        assert_eq!((response[3] & 15, response[7]), (3, 0));
        let response = respond(&query(&["far", "test"], 28)).unwrap();
        assert_eq!((response[3] & 15, response[7]), (0, 0));
    }

    #[test]
    fn a_query_that_is_cut_off_gets_no_response() {
        let whole = query(&["far", "test"], 1);
        for length in 0..whole.len() {
            assert!(respond(&whole[..length]).is_none(), "{length}");
        }
    }
}
