//! `check`: whether the configuration is correct, and what the router supports.

use i2p_sam::{Capabilities, Dialect};

use crate::{
    command_error::CommandError,
    config::{Config, values::Backend},
    daemon::{
        bridge::{advice, bridge},
        own_router::{installed_i2pd, no_i2pd},
        preflight,
        router::OwnChoice,
        used_bridge::UsedBridge,
    },
    terminal::output::print,
};

/// Prints that the configuration is correct, and with `live` what the router supports.
pub(crate) async fn run(config: &Config, live: bool) -> Result<(), CommandError> {
    preflight::check_files(config).map_err(|error| CommandError::usage(error.to_string()))?;
    let mut text = String::from("the configuration is correct\n");
    for tunnel in config.tunnels() {
        let listeners: Vec<_> = tunnel.listen()?.iter().map(ToString::to_string).collect();
        text += &format!("tunnel {} listens on {}\n", tunnel.name(), listeners.join(", "));
    }
    if config.router.backend == Backend::Auto && matches!(OwnChoice::of(config), OwnChoice::Embedded(_)) {
        let refused = config.refused_by_embedded_router();
        text.extend(
            refused
                .iter()
                .map(|why| format!("if no other router is found, the proxy does not start: {why}\n")),
        );
    }
    let outcome = if live { ask(config).await } else { Ok(String::new()) };
    text += outcome.as_deref().unwrap_or_default();
    print(&text)?;
    outcome.map(|_| ())
}

/// What the router supports, in words.
async fn ask(config: &Config) -> Result<String, CommandError> {
    match config.router.backend {
        Backend::Embedded => {
            return Ok("the router is the embedded one, which starts together with the proxy\n".to_owned());
        }
        Backend::I2pd => {
            let program = installed_i2pd(config).map_err(|fault| no_i2pd(&fault))?;
            return Ok(format!(
                "the router is i2pd ({}), which starts together with the proxy\n",
                program.display()
            ));
        }
        Backend::Auto | Backend::Sam => {}
    }
    let bridge = bridge(config)?;
    match bridge.probe().await {
        Ok(capabilities) => Ok(format!(
            "the router at {} answers: {}\n{capabilities}\n",
            bridge.address(),
            router(capabilities)
        )),
        Err(error) => match without_bridge(config) {
            Some(what) => Ok(format!("{error}; the proxy would {what}\n")),
            None => Err(CommandError::run_time(format_args!(
                "{error}. Without a router, nothing in I2P can be reached. {}",
                advice(&error)
            ))),
        },
    }
}

/// What the proxy would do without a SAM bridge, if it would not end.
fn without_bridge(config: &Config) -> Option<String> {
    if config.router.backend != Backend::Auto {
        return None;
    }
    match OwnChoice::of(config) {
        OwnChoice::None(_) => None,
        _ if UsedBridge::of(config).file().is_some() => Some(
            "wait for it and start no router of its own, since it has used a router's SAM bridge before"
                .to_owned(),
        ),
        own => Some(format!("start {own} instead")),
    }
}

/// The name of the router, as far as its answers tell.
fn router(capabilities: Capabilities) -> &'static str {
    match capabilities.dialect() {
        Dialect::I2pd => "i2pd",
        Dialect::Emissary => "emissary",
        _ => "Java I2P, or another router that follows the SAM specification",
    }
}
