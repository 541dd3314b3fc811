//! Programs that put others behind a SOCKS proxy: what these connect to and resolve goes there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::proxy;
use crate::programs;

/// One of them, set up for our proxy.
pub(crate) struct Wrapper {
    pub(crate) program: PathBuf,
    /// What comes before the other program.
    pub(crate) arguments: Vec<String>,
    /// What it reads from its environment.
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl Wrapper {
    /// torsocks asks for addresses (RESOLVE), and then to be connected to them, as text.
    pub(crate) fn torsocks(directory: &Path) -> Result<Self> {
        let (host, port) = proxy::ADDRESS.rsplit_once(':').context("the proxy's address has no port")?;
        let configuration = format!("TorAddress {host}\nTorPort {port}\n");
        let path = write(directory, "torsocks.conf", &configuration)?;
        Ok(Self {
            program: find("torsocks")?,
            arguments: Vec::new(),
            // It is a shell script.
            variables: vec![("TORSOCKS_CONF_FILE", path), ("PATH", "/usr/bin:/bin:/usr/sbin:/sbin".into())],
        })
    }

    /// proxychains makes up addresses itself and sends names.
    pub(crate) fn proxychains(directory: &Path, protocol: &str) -> Result<Self> {
        let address = proxy::ADDRESS.replace(':', " ");
        let configuration = format!(
            "strict_chain\nproxy_dns\nremote_dns_subnet 224\ntcp_read_time_out 100000\ntcp_connect_time_out 8000\n\
             [ProxyList]\n{protocol} {address}\n"
        );
        let path = write(directory, &format!("proxychains-{protocol}.conf"), &configuration)?;
        let arguments = ["-q", "-f", &path].map(String::from).to_vec();
        Ok(Self { program: find("proxychains4")?, arguments, variables: Vec::new() })
    }
}

fn find(program: &str) -> Result<PathBuf> {
    programs::find(program).with_context(|| format!("{program} is missing"))
}

fn write(directory: &Path, name: &str, text: &str) -> Result<String> {
    let path = directory.join(name);
    fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
    Ok(path.display().to_string())
}
