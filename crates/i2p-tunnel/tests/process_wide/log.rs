//! Captures the log of the process.

use std::{
    io::{self, Write},
    sync::{Arc, LazyLock, Mutex},
};

use tracing_subscriber::{Layer, Registry, filter::LevelFilter, prelude::*, reload};

type AnyLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// A process can set its subscriber only once, so each test replaces the layer in it.
static LAYER: LazyLock<reload::Handle<AnyLayer, Registry>> = LazyLock::new(|| {
    let (layer, handle) = reload::Layer::new(LevelFilter::OFF.boxed());
    tracing_subscriber::registry().with(layer).init();
    handle
});

/// Sends the log of the process to this layer from now on.
pub(crate) fn give_to(layer: impl Layer<Registry> + Send + Sync) {
    LAYER.reload(layer.boxed()).unwrap();
}

/// Discards the log from now on.
pub(crate) fn stop() {
    give_to(LevelFilter::OFF);
}

/// Captures the log from now on, down to this level.
pub(crate) fn keep(level: LevelFilter) -> Lines {
    let lines = Lines::default();
    give_to(lines.layer().and_then(level));
    lines
}

/// Captured lines. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// The text so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// A layer that writes to these lines.
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
