use std::net::SocketAddr;

/// A file for browsers (proxy auto-config) that sends I2P to this proxy and leaves the rest as it was. Where the proxy is
/// away I2P is not reached: there is no second way for it.
pub(super) fn file(socks: SocketAddr) -> String {
    format!(
        "function FindProxyForURL(url, host) {{\n\
         \x20 var name = host.toLowerCase().replace(/\\.+$/, \"\");\n\
         \x20 if (/\\.i2p(\\.alt)?$/.test(name)) {{\n\
         \x20   return \"SOCKS5 {socks}; SOCKS {socks}\";\n\
         \x20 }}\n\
         \x20 return \"DIRECT\";\n\
         }}\n"
    )
}
