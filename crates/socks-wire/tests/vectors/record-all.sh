#!/bin/sh
# Records all vectors into this directory: see README.md. Needs root for a network namespace.
#
# PYTHON  an interpreter with PySocks
# NODE_PATH  a node_modules with `socks`
set -eu

# In a network with nothing but loopback, a client that resolves names itself fails and sends no query.
if [ "${IN_NAMESPACE:-}" != yes ]; then
    IN_NAMESPACE=yes exec unshare --net "$0" "$@"
fi
ip link set lo up

cd "$(dirname "$0")"
: "${PYTHON:=python3}"
export PYTHON NODE_PATH
# Some clients send the user's name in SOCKS4.
export USER=root LOGNAME=root
failed=0

package() { dpkg-query --show --showformat='${Package} ${Version} (Debian)' "$1"; }

# save NAME CLIENT KEYS COMMAND [OPTION ...]: records one file, if its name starts with the script's argument.
only=${1:-}
save() {
    file=$1 version=$2 keys=$3 command=$4
    shift 4
    case $file in "$only"*) ;; *) return 0 ;; esac
    python3 record.py "$file.txt" --client "$version" --expect "$keys" "$@" "$command" || failed=1
}

ip="protocol=Socks5 command=CONNECT ip=198.51.100.7 port=80"
named="protocol=Socks5 command=CONNECT domain=example.i2p port=80"
ip4="protocol=Socks4 command=CONNECT ip=198.51.100.7 port=80"
named4="protocol=Socks4a command=CONNECT domain=example.i2p port=80"
get='printf "GET / HTTP/1.0\r\n\r\n"'

client=$(package curl)
save curl-socks4 "$client" "$ip4 data=GET" 'curl -sS --socks4 127.0.0.1:PORT http://198.51.100.7/'
save curl-socks4-user "$client" "$ip4 user_id=user data=GET" \
    'curl -sS --socks4 127.0.0.1:PORT --proxy-user user:pass http://198.51.100.7/'
save curl-socks4a "$client" "$named4 data=GET" 'curl -sS --socks4a 127.0.0.1:PORT http://example.i2p/'
save curl-socks4a-ip "$client" "protocol=Socks4a command=CONNECT domain=198.51.100.7 port=80 data=GET" \
    'curl -sS --socks4a 127.0.0.1:PORT http://198.51.100.7/'
save curl-socks5 "$client" "$ip data=GET" 'curl -sS --socks5 127.0.0.1:PORT http://198.51.100.7/'
save curl-socks5-ipv6 "$client" "protocol=Socks5 command=CONNECT ip=2001:db8::7 port=80 data=GET" \
    'curl -sS --socks5 127.0.0.1:PORT "http://[2001:db8::7]/"'
save curl-socks5-hostname "$client" "$named data=GET" \
    'curl -sS --socks5-hostname 127.0.0.1:PORT http://example.i2p/'
save curl-socks5-hostname-ip "$client" "$ip data=GET" \
    'curl -sS --socks5-hostname 127.0.0.1:PORT http://198.51.100.7/'
save curl-socks5-hostname-user "$client" "$named credentials=user:pass data=GET" \
    'curl -sS --socks5-hostname 127.0.0.1:PORT --proxy-user user:pass http://example.i2p/'
save curl-socks5-hostname-user-none "$client" "authentication=IsolationLast $named data=GET" \
    'curl -sS --socks5-hostname 127.0.0.1:PORT --proxy-user user:pass http://example.i2p/' --method 00
save curl-socks5-hostname-user-empty "$client" "$named credentials=user: data=GET" \
    'curl -sS --socks5-hostname 127.0.0.1:PORT --proxy-user user: http://example.i2p/'

client=$(package ncat)
save ncat-socks4 "$client" "$ip4 data=GET" \
    "$get | ncat --proxy-type socks4 --proxy 127.0.0.1:PORT 198.51.100.7 80"
save ncat-socks4-name "$client" "$named4 data=GET" \
    "$get | ncat --proxy-type socks4 --proxy 127.0.0.1:PORT example.i2p 80"
save ncat-socks4-auth "$client" "$named4 user_id=user data=GET" \
    "$get | ncat --proxy-type socks4 --proxy 127.0.0.1:PORT --proxy-auth user example.i2p 80"
save ncat-socks5 "$client" "$ip data=GET" \
    "$get | ncat --proxy-type socks5 --proxy 127.0.0.1:PORT 198.51.100.7 80"
save ncat-socks5-name "$client" "$named data=GET" \
    "$get | ncat --proxy-type socks5 --proxy 127.0.0.1:PORT example.i2p 80"
save ncat-socks5-auth "$client" "$named credentials=user:pass data=GET" \
    "$get | ncat --proxy-type socks5 --proxy 127.0.0.1:PORT --proxy-auth user:pass example.i2p 80"
save ncat-socks5-auth-none "$client" "authentication=IsolationLast $named data=GET" \
    "$get | ncat --proxy-type socks5 --proxy 127.0.0.1:PORT --proxy-auth user:pass example.i2p 80" --method 00

# torsocks opens one connection to resolve the name, with an arbitrary port, and another to the answer, sent as a name.
client=$(package torsocks)
resolve="protocol=Socks5 command=RESOLVE domain=example.i2p port=42"
resolved="protocol=Socks5 command=CONNECT domain=198.51.100.7 port=80"
onion="protocol=Socks5 command=CONNECT domain=example.onion port=80"
save torsocks-resolve "$client" "$resolve" 'torsocks -P PORT curl -sS http://example.i2p/' --take 05f000
save torsocks-connect "$client" "$resolved data=GET" 'torsocks -P PORT curl -sS http://example.i2p/' --take 05010003
save torsocks-isolate-resolve "$client" "$resolve credentials=%CREDENTIALS%" \
    'torsocks -i -P PORT curl -sS http://example.i2p/' --take 05f000
save torsocks-isolate-connect "$client" "$resolved credentials=%CREDENTIALS% data=GET" \
    'torsocks -i -P PORT curl -sS http://example.i2p/' --take 05010003
save torsocks-resolve-ptr "$client" "protocol=Socks5 command=RESOLVE_PTR ip=198.51.100.7 port=42" \
    'torsocks -P PORT getent hosts 198.51.100.7' --take 05f100
save torsocks-onion "$client" "$onion data=GET" 'torsocks -P PORT wget -q -O - http://example.onion/' --take 05010003

# curl asks proxychains for the name, gets an address in 224/8 and connects to it; proxychains sends the name to the proxy.
client=$(package proxychains4)
chain() { printf %s "conf=\$(mktemp); printf 'strict_chain\\nproxy_dns\\n[ProxyList]\\n$1\\n' >\$conf; proxychains4 -q -f \$conf"; }
save proxychains-socks5 "$client" "$named data=GET" "$(chain 'socks5 127.0.0.1 PORT') curl -sS http://example.i2p/"
save proxychains-socks5-ip "$client" "$ip data=GET" "$(chain 'socks5 127.0.0.1 PORT') curl -sS http://198.51.100.7/"
save proxychains-socks5-auth "$client" "$named credentials=user:pass data=GET" \
    "$(chain 'socks5 127.0.0.1 PORT user pass') curl -sS http://example.i2p/"
save proxychains-socks4 "$client" "$named4 data=GET" "$(chain 'socks4 127.0.0.1 PORT') curl -sS http://example.i2p/"
save proxychains-socks4-ip "$client" "$ip4 data=GET" \
    "$(chain 'socks4 127.0.0.1 PORT') curl -sS http://198.51.100.7/"

client=$(package netcat-openbsd)
save nc-socks5 "$client" "$named data=GET" "$get | nc -X 5 -x 127.0.0.1:PORT example.i2p 80"
save nc-socks5-ip "$client" "$ip data=GET" "$get | nc -X 5 -x 127.0.0.1:PORT 198.51.100.7 80"
save nc-socks4 "$client" "$ip4 data=GET" "$get | nc -X 4 -x 127.0.0.1:PORT 198.51.100.7 80"
save ssh-nc-socks5 "$(package openssh-client), $client" \
    "protocol=Socks5 command=CONNECT domain=example.i2p port=22 data=SSH-2.0-" \
    'ssh -F none -o "ProxyCommand nc -X 5 -x 127.0.0.1:PORT %h %p" example.i2p'

client="PySocks $("$PYTHON" -c 'import socks; print(socks.__version__)') (PyPI)"
pysocks() {
    printf %s "\$PYTHON -c 'import socks; s = socks.socksocket(); s.set_proxy(socks.$1); s.connect((\"$2\", 80)); s.sendall(b\"GET / HTTP/1.0\\r\\n\\r\\n\")'"
}
save pysocks-socks5 "$client" "$named data=GET" "$(pysocks 'SOCKS5, "127.0.0.1", PORT, rdns=True' example.i2p)"
save pysocks-socks5-auth "$client" "$named credentials=user:pass data=GET" \
    "$(pysocks 'SOCKS5, "127.0.0.1", PORT, True, "user", "pass"' example.i2p)"
save pysocks-socks4a "$client" "$named4 data=GET" "$(pysocks 'SOCKS4, "127.0.0.1", PORT, rdns=True' example.i2p)"
save pysocks-socks4-user "$client" "$ip4 user_id=user data=GET" \
    "$(pysocks 'SOCKS4, "127.0.0.1", PORT, True, "user"' 198.51.100.7)"
# The request contains the port that the client binds; no other program uses it in this network.
pysocks_udp() {
    printf %s "\$PYTHON -c 'import socket, socks; s = socks.socksocket(type=socket.SOCK_DGRAM); s.set_proxy(socks.SOCKS5, \"127.0.0.1\", PORT, rdns=$1); s.bind((\"\", 4545)); s.sendto(b\"ping\", (\"$2\", 7))'"
}
udp="protocol=Socks5 command=UDP_ASSOCIATE port=4545 udp_port=7 udp_data=ping"
# With remote names, PySocks sends its own address 0.0.0.0 as the name "0".
save pysocks-udp "$client" "$udp domain=0 udp_domain=example.i2p" "$(pysocks_udp True example.i2p)"
save pysocks-udp-ip "$client" "$udp ip=0.0.0.0 udp_ip=198.51.100.7" "$(pysocks_udp False 198.51.100.7)"

client="socks $(node -p 'require("socks/package.json").version') (npm)"
node_socks() {
    printf %s "node -e 'require(\"socks\").SocksClient.createConnection({proxy: {host: \"127.0.0.1\", port: PORT, $1}, command: \"connect\", destination: {host: \"$2\", port: 80}}).then(c => c.socket.end(\"GET / HTTP/1.0\\r\\n\\r\\n\"))'"
}
save node-socks5 "$client" "$named data=GET" "$(node_socks 'type: 5' example.i2p)"
save node-socks5-ip "$client" "$ip data=GET" "$(node_socks 'type: 5' 198.51.100.7)"
save node-socks5-auth "$client" "$named credentials=user:pass data=GET" \
    "$(node_socks 'type: 5, userId: "user", password: "pass"' example.i2p)"
save node-socks4a "$client" "$named4 data=GET" "$(node_socks 'type: 4' example.i2p)"

save chromium-socks5 "$(package chromium)" "$named data=GET" \
    'timeout 25 chromium --no-sandbox --headless --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync --proxy-server=socks5://127.0.0.1:PORT --user-data-dir="$(mktemp -d)" --dump-dom http://example.i2p/ 2>/dev/null' \
    --take 6578616d706c652e693270

exit $failed
