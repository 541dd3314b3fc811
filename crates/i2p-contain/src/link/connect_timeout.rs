//! How long the kernel waits for an answer to a SYN.

use std::{fs, time::Duration};

/// How often a SYN is repeated after one second each, at most, before the pauses double.
const MOST_LINEAR_REPEATS: u64 = 127;

/// Sets it for the network namespace of this thread: to this time, or the next longer one that the kernel knows. Where `/proc/sys` may
/// not be written, the kernel's own limit of about two minutes stays.
pub(super) fn set(timeout: Duration) {
    // The kernel gives up after the time that these repetitions would take if their pauses doubled from the start, even if they do not
    // (`retransmits_timed_out` of Linux).
    write("tcp_syn_retries", repeats(timeout.as_secs()));
    // A SYN for which there was no room is soon tried again. Kernels before 6.5 do not know this.
    write("tcp_syn_linear_timeouts", MOST_LINEAR_REPEATS);
}

/// How often a SYN is repeated after 1, 2, 4... seconds until this time has passed.
fn repeats(seconds: u64) -> u64 {
    (1..6).find(|repeats| (2_u64 << repeats) > seconds).unwrap_or(6)
}

fn write(name: &str, value: u64) {
    let _ = fs::write(format!("/proc/sys/net/ipv4/{name}"), value.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_add_up_to_the_time() {
        assert_eq!([3, 4, 7, 8, 63, 64, 127, 500].map(repeats), [1, 2, 2, 3, 5, 6, 6, 6]);
    }
}
