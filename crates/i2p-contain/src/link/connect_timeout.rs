//! How long the kernel waits for an answer to a SYN.

use std::{fs, time::Duration};

/// Sets it for the network namespace of this thread, as near as the kernel allows. Where `/proc/sys` may not be written, the kernel's
/// own limit of about two minutes stays, which is later but no less true.
pub(super) fn set(timeout: Duration) {
    let seconds = timeout.as_secs();
    let is_linear = write("tcp_syn_linear_timeouts", linear_repeats(seconds));
    let doubled = if is_linear { 1 } else { doubled_repeats(seconds) };
    write("tcp_syn_retries", doubled);
}

/// How often a SYN is repeated after one second each, if the one repetition after them waits for two seconds: with the wait before
/// the first repetition, that makes three seconds more than this number.
fn linear_repeats(seconds: u64) -> u64 {
    seconds.saturating_sub(3).min(127)
}

/// How often a SYN is repeated after 1, 2, 4... seconds until this time has passed.
fn doubled_repeats(seconds: u64) -> u64 {
    (1..6).find(|repeats| (2_u64 << repeats) > seconds).unwrap_or(6)
}

fn write(name: &str, value: u64) -> bool {
    fs::write(format!("/proc/sys/net/ipv4/{name}"), value.to_string()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_add_up_to_the_time() {
        assert_eq!([3, 4, 67, 130].map(linear_repeats), [0, 1, 64, 127]);
        assert_eq!([0, 1_000].map(linear_repeats), [0, 127], "the nearest that there is");
        assert_eq!([3, 4, 7, 63, 64, 127, 500].map(doubled_repeats), [1, 2, 2, 5, 6, 6, 6]);
    }
}
