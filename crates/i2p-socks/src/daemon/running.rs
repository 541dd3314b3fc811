//! SIGHUP reloads the configuration: either all of the new one takes effect, or none of it.

use super::{
    datagram_support,
    home::StateDirectory,
    preflight, routing,
    sessions::Sessions,
    tunnels::{ListenerReload, Tunnels},
};
use crate::{
    command_error::CommandError,
    config::{Config, options::Options},
    pac::ProxyAutoConfig,
    status::{
        active::ActiveParts, address_book::AddressBookSource, board::Board, own_router::OwnRouterSource,
    },
};

/// What a reload has changed.
pub(crate) struct Changes {
    /// The keys whose values differ, as in `limits.dial`.
    pub(crate) settings: Vec<String>,
    pub(crate) listeners: ListenerReload,
}

/// The running parts, and their configuration.
pub(crate) struct Running {
    pub(crate) config: Config,
    pub(crate) sessions: Sessions,
    pub(crate) tunnels: Tunnels,
    /// The router, if the proxy runs it itself. Not every tunnel can use the embedded one.
    pub(crate) own_router: Option<OwnRouterSource>,
    /// What is wrong with the address book.
    pub(crate) address_book: Option<AddressBookSource>,
    /// The risks of the configuration, which were warned of.
    pub(crate) risks: Vec<String>,
}

impl Running {
    /// Loads the configuration again and applies it. Open streams continue; sessions and listeners that did not change stay.
    ///
    /// # Errors
    /// What is wrong with the configuration. Then the old one stays in effect.
    pub(crate) async fn reload(
        &mut self,
        options: &Options,
        state_directory: &StateDirectory,
    ) -> Result<Changes, CommandError> {
        let config = Config::load(options)?;
        preflight::check_files(&config)?;
        state_directory.refuse_persistent_keys(&config)?;
        let fixed = self.config.changes_needing_restart(&config);
        if !fixed.is_empty() {
            return Err(CommandError::usage(format_args!(
                "{} cannot change while the proxy is running: restart it",
                fixed.join(", ")
            )));
        }
        self.refuse_what_the_router_lacks(&config)?;
        let mut sessions = self.sessions.reloaded(&config).await?;
        let changes = self.tunnels.prepare(&config, &sessions).await?;
        let listeners = self.tunnels.apply(changes, &config)?;
        // Nothing fails from here on.
        sessions.apply_changes();
        self.sessions = sessions;
        let risks = config.risks();
        warn_of_new_risks(&risks, &self.risks);
        self.risks = risks;
        if (&config.outproxy, &config.route) != (&self.config.outproxy, &self.config.route) {
            routing::warn_of_risks(&config);
        }
        let settings = self.config.changed_settings(&config);
        self.config = config;
        datagram_support::warn_of_refused(self.sessions.bridge(), &self.config);
        Ok(Changes { settings, listeners })
    }

    /// Refuses tunnels that the router cannot carry.
    pub(crate) fn refuse_what_the_router_lacks(&self, config: &Config) -> Result<(), CommandError> {
        if !self.own_router.as_ref().is_some_and(OwnRouterSource::is_embedded) {
            return Ok(());
        }
        let refused: Vec<_> =
            config.refused_by_embedded_router().into_iter().map(|problem| problem.text).collect();
        if refused.is_empty() { Ok(()) } else { Err(CommandError::usage(refused.join("\n"))) }
    }

    /// Updates the status with the running parts.
    pub(crate) fn update_status(&self, board: &Board) {
        board.set_active(ActiveParts {
            listeners: self.tunnels.listeners(),
            exec: self.tunnels.exec_sockets().into_iter().map(|socket| socket.tunnel).collect(),
            bridge: Some(self.sessions.bridge().clone()),
            own_router: self.own_router.clone(),
            address_book: self.address_book.clone(),
            pools: self.sessions.pools().collect(),
            warnings: self.risks.clone(),
            persistent_keys: self.config.persistent_keys(),
            max_sessions: self.config.session.max_sessions().get(),
            addresses: Some(self.tunnels.addresses().clone()),
            outproxies: self.sessions.outproxies().clone(),
            proxy_auto_config: ProxyAutoConfig::of(&self.config),
        });
    }
}

/// Warns of what a configuration allows although hardly anybody wants it, except of what was warned of before.
pub(crate) fn warn_of_new_risks(risks: &[String], before: &[String]) {
    for risk in risks.iter().filter(|risk| !before.contains(risk)) {
        tracing::warn!("{risk}");
    }
}
