#!/usr/bin/env bash
# Makes the certificates beside this file, for the tests of the client that fetches reseed files: an authority, and localhost, which
# it has certified for a hundred years. The key protects nothing.
set -euo pipefail
cd "$(dirname "$0")"
key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }
key authority
openssl req -x509 -new -key authority.key -subj "/CN=test authority of i2p-embedded" -days 36500 -out authority.pem \
    -addext "keyUsage = critical, keyCertSign"
key localhost
openssl req -new -key localhost.key -subj "/CN=localhost" |
    openssl x509 -req -CA authority.pem -CAkey authority.key -days 36500 -out localhost.pem \
        -extfile <(echo "subjectAltName = DNS:localhost")
rm authority.key
