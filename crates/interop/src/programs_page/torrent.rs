//! A torrent whose tracker is the site (BEP 3).

/// The name of its file in the home of each command.
pub(super) const FILE: &str = "example.torrent";

/// A torrent of one piece, whose tracker is at `host`.
pub(super) fn torrent(host: &str) -> String {
    let (announce, piece) = (format!("http://{host}/announce"), "far-end-far-end-far-");
    let info = format!("d6:lengthi1e4:name7:far-end12:piece lengthi16384e6:pieces20:{piece}e");
    format!("d8:announce{}:{announce}4:info{info}e", announce.len())
}
