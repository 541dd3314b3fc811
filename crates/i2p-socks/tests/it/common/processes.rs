//! Processes of this machine, as /proc shows them.
#![cfg(target_os = "linux")]

use std::{
    fs,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::LIMIT;

/// The process of the router that belongs to this proxy.
pub(crate) fn router_of(proxy: u32) -> Option<u32> {
    let of_proxy = |id: u32| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        (parent.trim() == proxy.to_string() && !status.contains("State:\tZ")).then_some(id)
    };
    let ids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(of_proxy).next()
}

/// Whether a process has ended. Nobody may have collected its status yet.
pub(crate) fn has_ended(id: u32) -> bool {
    fs::read_to_string(format!("/proc/{id}/status")).map_or(true, |status| status.contains("State:\tZ"))
}

pub(crate) async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begin.elapsed() < LIMIT, "{what}");
        sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn kill(signal: &str, id: u32) {
    let status = std::process::Command::new("kill").args(["-s", signal, &id.to_string()]).status();
    assert!(status.unwrap().success());
}

/// The number behind a label in a file of /proc.
pub(crate) fn field(text: &str, label: &str) -> String {
    let line =
        text.lines().find(|line| line.starts_with(label)).unwrap_or_else(|| panic!("no {label} in {text}"));
    line.strip_prefix(label).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}
