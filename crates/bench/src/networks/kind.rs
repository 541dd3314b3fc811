//! The networks: what is wrong with each of them.

use std::time::Duration;

use lab::{namespace::latency::Conditions, router::Tunnels};

use crate::far_site::Shape;

/// A network that has something wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What its row in the table says.
    pub(crate) title: &'static str,
    pub(crate) shape: Shape,
    pub(crate) conditions: Conditions,
    pub(crate) trouble: Trouble,
    /// How many clients fetch pages at the same time. A single one waits for a silent link before each page: otherwise packets of
    /// the page before delay it in i2pd's routers (Nagle's algorithm) by up to two round trips.
    pub(crate) clients: usize,
}

/// What is done to routers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// The site's router stops for a while again and again.
    SiteHangs(Pauses),
    /// The floodfills, which are the hops as well, stop for a while one after the other.
    HopsHang(Pauses),
    /// The last floodfill stops before the measurement and answers nothing until its end.
    FloodfillIsSilent,
}

/// When a router stops and continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pauses {
    /// How long it works before it stops.
    pub(crate) works: Duration,
    /// How long it is stopped.
    pub(crate) hangs: Duration,
}

const LATENCY: Duration = Duration::from_millis(50);
const SEED: u64 = 16;
const SHORT_PAUSES: Pauses = Pauses { works: Duration::from_secs(10), hangs: Duration::from_secs(4) };
const LONG_PAUSES: Pauses = Pauses { works: Duration::from_secs(10), hangs: Duration::from_secs(20) };

/// One client on a link of 50 ms each way, where nothing is wrong.
const GOOD: Kind = Kind {
    name: "good",
    title: "nothing wrong, one client",
    shape: Shape::SMALL,
    conditions: Conditions { seed: SEED, ..Conditions::latency(LATENCY) },
    trouble: Trouble::None,
    clients: 1,
};
/// The same with several clients.
const BUSY: Kind = Kind { name: "busy", title: "nothing wrong", clients: 4, ..GOOD };
/// One floodfill of three does not help, and lookups are needed for several destinations.
const MANY_LOOKUPS: Shape = Shape { destinations: 12, ..Shape::SMALL };

/// All networks, in the order of the table.
pub(crate) const ALL: [Kind; 11] = [
    GOOD,
    BUSY,
    Kind {
        name: "slow",
        title: "200 ms",
        conditions: Conditions { latency: Duration::from_millis(100), ..GOOD.conditions },
        ..BUSY
    },
    Kind {
        name: "loss-1",
        title: "1 % lost",
        conditions: Conditions { lost_percent: 1, ..GOOD.conditions },
        ..BUSY
    },
    Kind {
        name: "loss-5",
        title: "5 % lost",
        conditions: Conditions { lost_percent: 5, ..GOOD.conditions },
        ..BUSY
    },
    Kind {
        name: "loss-5-ssu2",
        title: "5 % lost, SSU2",
        conditions: Conditions { lost_percent: 5, ..GOOD.conditions },
        shape: Shape { ssu2: true, ..Shape::SMALL },
        ..BUSY
    },
    Kind {
        name: "reordered",
        title: "25 % overtaken",
        conditions: Conditions { late_percent: 25, max_lateness: LATENCY, ..GOOD.conditions },
        ..BUSY
    },
    Kind {
        name: "site-hangs",
        title: "the site's router hangs",
        trouble: Trouble::SiteHangs(SHORT_PAUSES),
        ..BUSY
    },
    Kind {
        name: "hops-hang",
        title: "hops hang",
        shape: Shape { floodfills: 4, tunnels: Tunnels { hops: 1, quantity: 2 }, ..Shape::SMALL },
        trouble: Trouble::HopsHang(LONG_PAUSES),
        ..BUSY
    },
    Kind {
        name: "floodfill-silent",
        title: "a floodfill is silent",
        shape: MANY_LOOKUPS,
        trouble: Trouble::FloodfillIsSilent,
        ..BUSY
    },
    Kind {
        name: "floodfill-denies",
        title: "a floodfill denies",
        shape: Shape { floodfills: 2, ..MANY_LOOKUPS }.with_denying_floodfill(),
        ..BUSY
    },
];

/// Finds a network by its name on the command line.
pub(crate) fn find(name: &str) -> Option<Kind> {
    ALL.into_iter().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ() {
        for kind in ALL {
            assert_eq!(find(kind.name).unwrap().title, kind.title);
        }
        assert!(find("none").is_none());
    }
}
