//! What the system tells about this process, under the names that Prometheus recommends.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

/// The metrics of this process. Except for the start time, they are read on Linux only and missing elsewhere.
pub(super) struct Process {
    registry: Registry,
    cpu: Counter<f64, AtomicU64>,
    resident_memory: Gauge,
    virtual_memory: Gauge,
    threads: Gauge,
    open_descriptors: Gauge,
    max_descriptors: Gauge,
}

impl Process {
    /// The metrics of a process that starts now.
    pub(super) fn starts_now() -> Self {
        let start = Gauge::<f64, AtomicU64>::default();
        start.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        let mut process = Self {
            registry: Registry::with_prefix("process"),
            cpu: Counter::default(),
            resident_memory: Gauge::default(),
            virtual_memory: Gauge::default(),
            threads: Gauge::default(),
            open_descriptors: Gauge::default(),
            max_descriptors: Gauge::default(),
        };
        process.registry.register_with_unit(
            "start_time",
            "When the program started, since 1970",
            Unit::Seconds,
            start,
        );
        if cfg!(target_os = "linux") {
            process.register();
        }
        process
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register_with_unit(
            "cpu",
            "Processor time of the program and the system for it",
            Unit::Seconds,
            self.cpu.clone(),
        );
        registry.register_with_unit(
            "resident_memory",
            "Memory in use",
            Unit::Bytes,
            self.resident_memory.clone(),
        );
        registry.register_with_unit(
            "virtual_memory",
            "Address space in use",
            Unit::Bytes,
            self.virtual_memory.clone(),
        );
        registry.register("threads", "Threads", self.threads.clone());
        registry.register("open_fds", "Open file descriptors", self.open_descriptors.clone());
        registry.register("max_fds", "Limit of open file descriptors", self.max_descriptors.clone());
    }

    /// The metrics now.
    pub(super) fn read(&self) -> &Registry {
        #[cfg(target_os = "linux")]
        self.update();
        &self.registry
    }

    /// Reads the numbers. Those that the system does not tell keep their last value.
    #[cfg(target_os = "linux")]
    fn update(&self) {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        if let Some(stat) = std::fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse) {
            self.cpu.inner().store(stat.cpu_seconds.to_bits(), Relaxed);
            self.threads.set(signed(stat.threads));
            self.virtual_memory.set(signed(stat.virtual_bytes));
            self.resident_memory.set(signed(stat.resident_pages * rustix::param::page_size() as u64));
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            // One of them is that of this directory.
            self.open_descriptors.set(signed((open.count() as u64).saturating_sub(1)));
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        self.max_descriptors.set(limit.map_or(i64::MAX, signed));
    }
}

/// Fields of `/proc/self/stat`, see proc_pid_stat(5).
#[cfg(target_os = "linux")]
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    threads: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

#[cfg(target_os = "linux")]
impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name of the program is in parentheses, and may contain anything. The third field follows it.
        let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks = u32::try_from(field(14)? + field(15)?).ok()?;
        let ticks_per_second = u32::try_from(rustix::param::clock_ticks_per_second()).ok()?;
        Some(Self {
            cpu_seconds: f64::from(ticks) / f64::from(ticks_per_second),
            threads: field(20)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_counted_from_behind_the_name() {
        let text = "7 (a ) (b) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 9 0 12345 1048576 25 18446744073709551615";
        let stat = Stat::parse(text).unwrap();
        let cpu_seconds = 200.0 / f64::from(u32::try_from(rustix::param::clock_ticks_per_second()).unwrap());
        assert_eq!(stat, Stat { cpu_seconds, threads: 9, virtual_bytes: 1_048_576, resident_pages: 25 });
        assert_eq!(Stat::parse("7 (cut) S 1"), None);
    }
}
