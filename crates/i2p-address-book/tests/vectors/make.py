"""Writes the signed commands in this directory with OpenSSL, through python3-cryptography.

Each run writes other files, because the keys are random. The tests need only the files.
"""
import base64, os
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature as decode

P = int("9c05b2aa960d9b97b8931963c9cc9e8c3026e9b8ed92fad0a69cc886d5bf8015fcadae31a0ad18fab3f01b00a358de237655c4964afaa2b3"
        "37e96ad316b9fb1cc564b5aec5b69a9ff6c3e4548707fef8503d91dd8602e867e6d35d2235c1869ce2479c3b9d5401de04e0727fb33d6511"
        "285d4cf29538d9e3b6051f5b22cc1c93", 16)
Q = int("a5dfc28fef4ca1e286744cd8eed9d29d684046b7", 16)
G = int("0c1f4d27d40093b429e962d7223824e0bbc47e7c832a39236fc683af84889581075ff9082ed32353d4374d7301cda1d23c431f4698599dda"
        "02451824ff369752593647cc3ddc197de985e43d136cdcfc6bd5409cd2f450821142a5e6f8eb1c3ab5d0484b8129fcf17bce4f7f33321c3c"
        "b3dbb14a905e7b2b3e93be4708cbcc82", 16)
base64_i2p = lambda data: base64.b64encode(data, b"-~").decode()


def destination(number, public):
    certificate = b"\0\0\0" if number == 0 else b"\5" + (4 + max(0, len(public) - 128)).to_bytes(2, "big") + bytes([0, number, 0, 4])
    return base64_i2p(os.urandom(256) + os.urandom(max(0, 128 - len(public))) + public[:128] + certificate + public[128:])


def both(signature, size):
    return b"".join(n.to_bytes(size, "big") for n in decode(signature))


def keys():
    key = dsa.DSAParameterNumbers(P, Q, G).parameters().generate_private_key()
    yield "dsa-sha1", 0, key.public_key().public_numbers().y.to_bytes(128, "big"), lambda text, key=key: both(key.sign(text, hashes.SHA1()), 20)
    for name, number, curve, size, digest in (("ecdsa-sha256-p256", 1, ec.SECP256R1(), 32, hashes.SHA256()),
                                              ("ecdsa-sha384-p384", 2, ec.SECP384R1(), 48, hashes.SHA384()),
                                              ("ecdsa-sha512-p521", 3, ec.SECP521R1(), 66, hashes.SHA512())):
        key = ec.generate_private_key(curve)
        point = key.public_key().public_numbers()
        yield name, number, point.x.to_bytes(size, "big") + point.y.to_bytes(size, "big"), \
            lambda text, key=key, size=size, digest=digest: both(key.sign(text, ec.ECDSA(digest)), size)
    key = ed25519.Ed25519PrivateKey.generate()
    yield "eddsa-sha512-ed25519", 7, key.public_key().public_bytes_raw(), key.sign


def line(entry, properties):
    return entry + "".join(("#!" if i == 0 else "#") + f"{k}={properties[k]}" for i, k in enumerate(sorted(properties)))


every = [(name, destination(number, public), sign) for name, number, public, sign in keys()]
for name, text, sign in every:
    # The new destination is the Ed25519 one, as when a name moves off older keys; it moves to P-256 itself.
    _, new, sign_new = every[1] if name == every[4][0] else every[4]
    with open(name + ".txt", "w") as file:
        properties = {"action": "changedest", "olddest": text, "date": "1700000000", "Zeta": "ä"}
        properties["oldsig"] = base64_i2p(sign(line(f"example.i2p={new}", properties).encode()))
        properties["sig"] = base64_i2p(sign_new(line(f"example.i2p={new}", properties).encode()))
        file.write(line(f"example.i2p={new}", properties) + "\n")
        properties = {"action": "remove", "name": "example.i2p", "dest": text, "date": "1700000001"}
        properties["sig"] = base64_i2p(sign(line("", properties).encode()))
        file.write(line("", properties) + "\n")
