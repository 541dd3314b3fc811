//! The thread that a router runs on.

use std::{future::Future, io, pin::Pin};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinHandle,
};

use crate::Error;

/// A tokio runtime of its own for one router or one private network.
///
/// emissary starts tasks that only the end of their runtime stops. So each router owns a runtime: dropping it ends the
/// router and closes its sockets.
///
/// The runtime has one worker thread. With two, one can still run a task while the other already drops the tasks that it
/// communicates with, and emissary panics at that: 98 of 100 times when a router was dropped just after its start, and never
/// with one thread. One is fast enough: 5 MB through tunnels of four routers take half a second of its time.
#[derive(Debug)]
pub(crate) struct RouterThread {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl RouterThread {
    pub(crate) fn start() -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("i2p-router")
            .enable_all()
            .build()
            .map_err(Error::System)?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Runs `future` on this thread to its end. A panic in it becomes an error, unless panics end the process.
    pub(crate) async fn run<F, T>(&self, future: F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
        T: Send + 'static,
    {
        match self.spawn(future).await {
            Ok(result) => result,
            Err(error) => Err(Error::Router { problem: error.to_string() }),
        }
    }
}

/// Boxes a future. The code of an async function is compiled in the crate that awaits it, and that of emissary with it. Boxing keeps
/// it in this crate instead of in each program and each test that starts a router.
pub(crate) fn compiled_here<T>(
    future: impl Future<Output = T> + Send + 'static,
) -> Pin<Box<dyn Future<Output = T> + Send>> {
    Box::pin(future)
}

impl Drop for RouterThread {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for the thread is not allowed inside another runtime, which is where this is dropped.
            runtime.shutdown_background();
        }
    }
}

/// Runs blocking work on another thread than the router's. A panic in it becomes an I/O error, unless panics end the process.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, io::Error> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}
