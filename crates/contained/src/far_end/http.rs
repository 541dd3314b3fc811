//! Pages.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{OUTSIDE_ADDRESS, OUTSIDE_IPV6, OUTSIDE_NAME, PAGE, SITE, reports::Reports};

/// The page that a browser opens. Its script tries the other hosts, and reports the result of each try.
const BROWSER: &str = include_str!("../../programs/browser.html");

/// Answers each request with a page.
pub(super) async fn serve(listener: TcpListener, reports: Reports) {
    while let Ok((client, _)) = listener.accept().await {
        // The client notices whatever goes wrong.
        tokio::spawn(answer(client, reports.clone()));
    }
}

async fn answer(mut client: TcpStream, reports: Reports) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default();
    if let Some(report) = path.strip_prefix("/report/") {
        reports.add(&report.replace('/', " "));
    }
    let (kind, page) = if path.starts_with("/browser") {
        ("text/html", browser_page())
    } else {
        ("text/plain", PAGE.into())
    };
    let length = page.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\
         Access-Control-Allow-Origin: *\r\n\r\n{page}"
    );
    client.write_all(answer.as_bytes()).await
}

fn browser_page() -> String {
    let outside = OUTSIDE_ADDRESS.to_string();
    let names = [("{SITE}", SITE), ("{NAME}", OUTSIDE_NAME), ("{IPV4}", &outside), ("{IPV6}", OUTSIDE_IPV6)];
    names.iter().fold(BROWSER.replace("{PAGE}", PAGE), |page, (mark, name)| page.replace(mark, name))
}
