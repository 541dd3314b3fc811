//! `check`: whether the configuration would do, before anything depends on it.

use i2p_sam::{Capabilities, Dialect};

use crate::{
    config::{Config, values::Backend},
    daemon::{bridge::bridge, preflight},
    failure::Failure,
    terminal::output::say,
};

/// Says on stdout that the configuration is right, and with `live` what the router can do.
pub(crate) async fn run(config: &Config, live: bool) -> Result<(), Failure> {
    preflight::files(config).map_err(|failure| Failure::usage(failure.to_string()))?;
    let mut text = String::from("the configuration is right\n");
    for tunnel in config.tunnels() {
        let listeners: Vec<_> = tunnel.listen()?.iter().map(ToString::to_string).collect();
        text += &format!("tunnel {} listens on {}\n", tunnel.name(), listeners.join(", "));
    }
    let outcome = if live { ask(config).await } else { Ok(String::new()) };
    text += outcome.as_deref().unwrap_or_default();
    say(&text)?;
    outcome.map(|_| ())
}

/// What the router says of itself.
async fn ask(config: &Config) -> Result<String, Failure> {
    if config.router.backend == Backend::Embedded {
        return Ok("the router is the embedded one, which starts with the proxy\n".to_owned());
    }
    let bridge = bridge(config)?;
    match bridge.probe().await {
        Ok(capabilities) => Ok(format!(
            "the router at {} answers: {}\n{capabilities}\n",
            bridge.address(),
            router(capabilities)
        )),
        Err(error) if config.router.backend == Backend::Auto && cfg!(feature = "embedded") => {
            Ok(format!("{error}: the embedded router would start in its place\n"))
        }
        Err(error) => Err(Failure::run_time(format_args!(
            "{error}. Start the router, or say where its SAM bridge is with --sam HOST:PORT"
        ))),
    }
}

/// Whose bridge it is, as far as its answers tell.
fn router(capabilities: Capabilities) -> &'static str {
    match capabilities.dialect() {
        Dialect::I2pd => "i2pd",
        Dialect::Emissary => "emissary",
        _ => "Java I2P, or another that answers as the specification has it",
    }
}
