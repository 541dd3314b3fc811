//! SIGHUP: the configuration is read again. All of it comes into force, or nothing.

use super::{
    preflight,
    sessions::Sessions,
    tunnels::{Changed, Tunnels},
};
use crate::{
    config::{Config, options::Options},
    failure::Failure,
    pac::ProxyAutoConfig,
    status::{board::Board, current::Current},
};

/// What runs, and by which configuration.
pub(crate) struct Running {
    pub(crate) config: Config,
    pub(crate) sessions: Sessions,
    pub(crate) tunnels: Tunnels,
}

impl Running {
    /// Reads the configuration again and puts it into force. Streams that are open are not touched; sessions and listeners that are
    /// as before stay.
    ///
    /// # Errors
    /// What is wrong with it; then all is as it was.
    pub(crate) async fn reload(&mut self, options: &Options) -> Result<Changed, Failure> {
        let config = Config::load(options)?;
        preflight::files(&config)?;
        if let Some(fixed) = self.config.differs_in_what_is_fixed(&config) {
            return Err(Failure::usage(format_args!(
                "{fixed} cannot be changed while the proxy runs: restart it for that"
            )));
        }
        let sessions = self.sessions.changed(&config).await?;
        let change = self.tunnels.prepare(&config, &sessions).await?;
        let changed = self.tunnels.apply(change, &config)?;
        // From here on nothing fails.
        self.sessions = sessions;
        self.config = config;
        Ok(changed)
    }

    /// What there is now, for the board.
    pub(crate) fn show_on(&self, board: &Board) {
        board.set_current(Current {
            places: self.tunnels.places(),
            bridge: Some(self.sessions.bridge().clone()),
            pools: self.sessions.pools().collect(),
            max_sessions: self.config.session.max_sessions().get(),
            addresses: Some(self.tunnels.addresses().clone()),
            outproxies: self.sessions.outproxies().clone(),
            proxy_auto_config: ProxyAutoConfig::of(&self.config),
        });
    }
}
