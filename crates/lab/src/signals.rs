//! Sends signals to processes.

use anyhow::{Result, ensure};
use tokio::process::Command;

/// Sends a process a signal, such as `HUP`.
pub async fn signal(process_id: u32, name: &str) -> Result<()> {
    // The shell's own kill, since sending a signal from here would need unsafe code or one more crate.
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {process_id}")).status().await?;
    ensure!(sent.success(), "could not send SIG{name}: the process has exited");
    Ok(())
}
