//! What the process logs, kept to be read.

use std::{
    io::{self, Write},
    sync::{Arc, LazyLock, Mutex},
};

use tracing_subscriber::{Layer, Registry, filter::LevelFilter, prelude::*, reload};

type AnyLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// A process can set its subscriber only once, so there is one in which each test replaces the layer.
static LAYER: LazyLock<reload::Handle<AnyLayer, Registry>> = LazyLock::new(|| {
    let (layer, handle) = reload::Layer::new(LevelFilter::OFF.boxed());
    tracing_subscriber::registry().with(layer).init();
    handle
});

/// Gives everything that the process logs from now on to this layer, and to no other.
pub(crate) fn give_to(layer: impl Layer<Registry> + Send + Sync) {
    LAYER.reload(layer.boxed()).unwrap();
}

/// Logs nothing from now on.
pub(crate) fn stop() {
    give_to(LevelFilter::OFF);
}

/// Keeps what the process logs from now on, down to this level.
pub(crate) fn keep(level: LevelFilter) -> Lines {
    let lines = Lines::default();
    give_to(lines.layer().and_then(level));
    lines
}

/// A log's lines. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// All of it so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Writes to these lines.
    pub(crate) fn layer(&self) -> impl Layer<Registry> + Send + Sync + use<> {
        let writer = self.clone();
        tracing_subscriber::fmt::layer().with_writer(move || writer.clone()).with_ansi(false)
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
