//! Programs that put others behind a SOCKS proxy, set up for our proxy.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use lab::{curl::Wrapper, proxy};

/// torsocks asks for addresses (RESOLVE), and then for connections to them, as text.
pub(crate) fn torsocks(directory: &Path) -> Result<Wrapper> {
    let (host, port) = proxy::ADDRESS.rsplit_once(':').context("the proxy's address has no port")?;
    let configuration = format!("TorAddress {host}\nTorPort {port}\n");
    let path = write(directory, "torsocks.conf", &configuration)?;
    Ok(Wrapper {
        program: find("torsocks")?,
        arguments: Vec::new(),
        // torsocks is a shell script, which needs PATH.
        variables: vec![("TORSOCKS_CONF_FILE", path), ("PATH", "/usr/bin:/bin:/usr/sbin:/sbin".into())],
    })
}

/// proxychains makes up addresses itself and sends names.
pub(crate) fn proxychains(directory: &Path, protocol: &str) -> Result<Wrapper> {
    let address = proxy::ADDRESS.replace(':', " ");
    let configuration = format!(
        "strict_chain\nproxy_dns\nremote_dns_subnet 224\ntcp_read_time_out 100000\ntcp_connect_time_out 8000\n\
         [ProxyList]\n{protocol} {address}\n"
    );
    let path = write(directory, &format!("proxychains-{protocol}.conf"), &configuration)?;
    let arguments = ["-q", "-f", &path].map(String::from).to_vec();
    Ok(Wrapper { program: find("proxychains4")?, arguments, variables: Vec::new() })
}

fn find(program: &str) -> Result<PathBuf> {
    programs::find(program).with_context(|| format!("{program} is missing"))
}

fn write(directory: &Path, name: &str, text: &str) -> Result<String> {
    let path = directory.join(name);
    fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
    Ok(path.display().to_string())
}
