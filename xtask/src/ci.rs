//! `cargo xtask ci`: its steps, and which of them run at the same time.

use pipeline::{Chore, Lane, Pipeline, Wait};

use crate::{cargo_deny, no_std, steps, suites};

/// The stages.
pub(crate) const CI: Pipeline = Pipeline { stages: &[CHECK, MEASURE] };

/// Tests and suites mostly wait for tunnels and time limits. Compilers use the processors meanwhile.
const CHECK: &[Lane] = &[
    Lane { nice: false, waits: None, steps: DEBUG_STEPS },
    Lane { nice: false, waits: Some(Wait { step: "socks-conformance", after: "build" }), steps: SUITES },
    Lane { nice: true, waits: Some(Wait { step: "installed", after: "build" }), steps: RELEASE_STEPS },
];

/// The steps whose compilers write to `target/debug`, and those that use what is there.
const DEBUG_STEPS: &[Chore] = &[
    Chore { name: "fmt", description: "check the formatting", run: steps::fmt },
    // Before the lints, so that the suites of the other lane, which mostly wait for tunnels, run while this lane compiles.
    Chore {
        name: "build",
        description: "build all tests, and the programs that the tests and suites start",
        run: steps::build,
    },
    Chore {
        name: "clippy",
        description: "check the lints, with and without the embedded router",
        run: steps::clippy,
    },
    Chore { name: "doc", description: "build the documentation, also of private items", run: steps::doc },
    Chore {
        name: "no-std",
        description: "check that socks-wire links neither std nor alloc",
        run: no_std::run,
    },
    Chore { name: "test", description: "run all tests, also on the fuzz corpus", run: steps::test },
    Chore {
        name: "sam-routers",
        description: "test the SAM client with real i2pd routers",
        run: |workspace| suites::run("sam-routers", workspace),
    },
    Chore {
        name: "own-i2pd",
        description: "test our proxy with an i2pd that it starts itself",
        run: |workspace| suites::run("own-i2pd", workspace),
    },
    // Here and not among the suites, so that both lanes take about the same time.
    Chore {
        name: "sam-routers-sid",
        description: "test the SAM client with the newest i2pd, that of Debian's sid",
        run: |workspace| suites::run_with_i2pd("sam-routers", NEWEST, workspace),
    },
];

/// Suites that need the programs in `target/debug`. They mostly wait.
const SUITES: &[Chore] = &[
    Chore {
        name: "socks-conformance",
        description: "test our proxy and others byte by byte (--write: docs/conformance.md)",
        run: |workspace| suites::run("socks-conformance", workspace),
    },
    Chore {
        name: "http-conformance",
        description: "test our HTTP proxy and others byte by byte (--write: docs/http-conformance.md)",
        run: |workspace| suites::run("http-conformance", workspace),
    },
    Chore {
        name: "gateway",
        description: "send the whole traffic of namespaces and machines through our proxy, and count what leaves",
        run: |workspace| suites::run("gateway", workspace),
    },
    Chore {
        name: "contained",
        description: "run programs that people use under exec, and count what leaves",
        run: |workspace| suites::run("contained", workspace),
    },
    Chore {
        name: "filtered",
        description: "run programs that people use through the filters, and look for what tells of them",
        run: |workspace| suites::run("filtered", workspace),
    },
    Chore {
        name: "interop",
        description: "test our proxy with real i2pd routers and real clients (--programs: only the commands of docs/programs.md; --all-programs: also those that are run by hand)",
        run: |workspace| suites::run("interop", workspace),
    },
    // Of the releases in between, CONTRIBUTING.md tells how to test one by hand.
    Chore {
        name: "interop-sid",
        description: "test our proxy with the newest i2pd and real clients",
        run: |workspace| suites::run_with_i2pd("interop", NEWEST, workspace),
    },
];

/// The Debian release with the newest i2pd.
const NEWEST: &str = "sid";

/// The steps whose compilers write elsewhere, so that no lock of cargo makes the two lanes wait for each other.
const RELEASE_STEPS: &[Chore] = &[
    Chore {
        name: "tools",
        description: "install the tools that the steps need below target/, in fixed versions",
        run: cargo_deny::install,
    },
    Chore {
        name: "deny",
        description: "check the licences and sources of the dependencies",
        run: steps::deny,
    },
    Chore {
        name: "instructions",
        description: "check that socks-wire needs no more instructions than the committed counts",
        run: instructions::compare_with_committed,
    },
    Chore {
        name: "install",
        description: "run cargo install, with and without the embedded router",
        run: steps::install,
    },
    Chore { name: "installed", description: "test the installed programs", run: steps::installed },
];

/// Attacks that starve others are judged by the clock, and a benchmark needs the whole machine.
const MEASURE: &[Lane] = &[Lane {
    nice: false,
    waits: None,
    steps: &[
        Chore {
            name: "attack",
            description: "attack the installed program (NAME...: only these attacks; --debug; --soak MINUTES)",
            run: |workspace| suites::run("attack", workspace),
        },
        Chore {
            name: "bench",
            description: "measure the cost beside other proxies (ci: --short; --write: docs/performance.md; --link: time to first byte only)",
            run: suites::run_short_bench,
        },
    ],
}];
