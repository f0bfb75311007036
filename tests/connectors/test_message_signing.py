"""Signed requests, checked as a bank checks them: with the certificate that they carry."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode, b64encode
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from connectors.bank import Bank, Request, ok
from connectors.subjects import ACCOUNT, HTTP_SUBJECTS, NOW, REFERENCE
from connectors.test_faults import MONEY
from token_engine.banks.berlin_group import BerlinGroup, BerlinGroupSettings
from token_engine.banks.message_signing import Signing
from token_engine.banks.secrets import SecretReference
from token_engine.domain.observation import NoObservation, Observation, Why

BERLIN = HTTP_SUBJECTS[0]


class Seal:
    """A certificate and its key, in files."""

    def __init__(self, folder: Path, serial: int = 0x9FA1) -> None:
        self.certificate, self.key = folder / "seal.pem", folder / "seal.key"
        self.renew(serial)

    def renew(self, serial: int) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        issuer = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "D-Trust GmbH"),
                x509.NameAttribute(NameOID.COMMON_NAME, "D-TRUST CA 2-1 2015"),
            ]
        )
        built = (
            x509.CertificateBuilder().subject_name(issuer).issuer_name(issuer).public_key(key.public_key())
            .serial_number(serial).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )  # fmt: skip
        self.certificate.write_bytes(built.public_bytes(Encoding.PEM))
        self.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def signing(self, **more: Any) -> Signing:
        references = (SecretReference(file=str(path)) for path in (self.certificate, self.key))
        return Signing(certificate=next(references), key=next(references), **more)


@pytest.fixture(scope="module")
def seal(tmp_path_factory: pytest.TempPathFactory) -> Seal:
    return Seal(tmp_path_factory.mktemp("seal"))


def ask(bank: Bank, *signings: Signing) -> list[Observation | NoObservation]:
    bank.respond = lambda request: ok(BERLIN.balances(MONEY, "resource-1"))

    async def run() -> list[Observation | NoObservation]:
        answers = []
        for signing in signings:
            client = httpx2.AsyncClient(base_url=bank.base_url, verify=False)
            connector = BerlinGroup(client, BerlinGroupSettings(consent=REFERENCE, signing=signing))
            answers.append(await connector.booked_balance(ACCOUNT, NOW))
            await connector.close()
        return answers

    return asyncio.run(run())


def verify(request: Request) -> dict[str, str]:
    """What a bank does; raises InvalidSignature. Returns the parameters of the signature."""
    said = dict(re.findall(r'(\w+)="([^"]*)"', request.headers["signature"]))
    text = "\n".join(f"{name}: {request.headers[name]}" for name in said["headers"].split(" "))
    certificate = x509.load_der_x509_certificate(b64decode(request.headers["tpp-signature-certificate"]))
    public = certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    scheme = {"rsa-sha256": hashes.SHA256(), "rsa-sha512": hashes.SHA512()}[said["algorithm"]]
    public.verify(b64decode(said["signature"], validate=True), text.encode(), PKCS1v15(), scheme)
    return said


@pytest.mark.parametrize("algorithm", ["rsa-sha256", "rsa-sha512"])
@pytest.mark.parametrize("date", [False, True])
def test_a_bank_can_verify_it(bank: Bank, seal: Seal, algorithm: str, date: bool) -> None:
    [answer] = ask(bank, seal.signing(algorithm=algorithm, date=date))
    assert isinstance(answer, Observation), answer
    [request] = bank.requests
    said = verify(request)
    assert said["headers"] == ("digest x-request-id date" if date else "digest x-request-id")
    # The form of the official description's example.
    assert said["keyId"] == "SN=9FA1,CA=CN=D-TRUST%20CA%202-1%202015,O=D-Trust%20GmbH,C=DE"
    assert request.headers["digest"] == "SHA-256=" + b64encode(sha256(b"").digest()).decode()
    assert request.headers.get("date") == ("Mon, 23 Nov 2026 10:30:00 GMT" if date else None)
    for name in ("x-request-id", "digest"):
        forged = Request(request.path, "", {**request.headers, name: "another"}, "")
        with pytest.raises(InvalidSignature):
            verify(forged)


def test_a_renewed_seal_is_used_at_once(bank: Bank, tmp_path: Path) -> None:
    seal = Seal(tmp_path, serial=1)
    ask(bank, seal.signing())
    seal.renew(2)
    ask(bank, seal.signing())
    assert [verify(r)["keyId"].partition(",")[0] for r in bank.requests] == ["SN=1", "SN=2"]


def test_without_a_usable_seal_nothing_is_asked(bank: Bank, tmp_path: Path) -> None:
    seal = Seal(tmp_path)
    signing = seal.signing()
    key, certificate = seal.key.read_bytes(), seal.certificate.read_bytes()
    elliptic = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for path, useless in [
        (seal.key, b"no key"),
        (seal.key, certificate),
        (seal.key, elliptic),
        (seal.certificate, key),
    ]:
        before = path.read_bytes()
        path.write_bytes(useless)
        [answer] = ask(bank, signing)
        assert isinstance(answer, NoObservation), answer
        assert (answer.why, path.name in answer.text) == (Why.ACCESS_REFUSED, True)
        assert "PRIVATE" not in answer.text
        path.write_bytes(before)
    seal.key.unlink()
    [answer] = ask(bank, signing)
    assert isinstance(answer, NoObservation)
    assert answer.why is Why.ACCESS_REFUSED
    assert bank.requests == []
