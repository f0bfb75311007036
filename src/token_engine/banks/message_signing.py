"""Requests signed as NextGenPSD2 asks (implementation guidelines 1.3, "Signing messages at application layer"), which
is draft-cavage-http-signatures-10: `Digest`, `Signature` and `TPP-Signature-Certificate`."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from hashlib import sha256
from typing import Final, Literal
from urllib.parse import quote

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from token_engine.banks.secrets import SecretMissingError, SecretReference

_HASHES: Final = {"rsa-sha256": SHA256, "rsa-sha512": SHA512}
_NO_BODY: Final = "SHA-256=" + b64encode(sha256(b"").digest()).decode()


class Signing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The electronic seal (QSEAL) that requests carry."""

    certificate: SecretReference
    """PEM."""
    key: SecretReference
    """PEM of its RSA key, without a password."""
    algorithm: Literal["rsa-sha256", "rsa-sha512"] = "rsa-sha256"
    date: bool = False
    """Sign `Date` too: guidelines up to 1.3 of October 2018 ask for it, later ones leave it out."""


def signed_headers(headers: dict[str, str], signing: Signing, now: datetime) -> dict[str, str]:
    """`headers` of a request without a body, which hold `X-Request-ID`, and its signature.

    Key and certificate are read now, so that rotated ones are found. Raises SecretMissingError when one of them is not
    there or is none.
    """
    certificate = _certificate(signing.certificate.read(), _named(signing.certificate))
    key = _key(signing.key.read(), _named(signing.key))
    signed = {"digest": _NO_BODY, "x-request-id": headers["X-Request-ID"]}
    if signing.date:
        signed["date"] = format_datetime(now, usegmt=True)
    text = "\n".join(f"{name}: {value}" for name, value in signed.items())
    signature = b64encode(key.sign(text.encode(), PKCS1v15(), _HASHES[signing.algorithm]())).decode()
    key_id = f"SN={certificate.serial_number:X},CA={quote(certificate.issuer.rfc4514_string(), safe='=,+')}"
    return (
        headers
        | {"Digest": _NO_BODY}
        | ({"Date": signed["date"]} if signing.date else {})
        | {
            "Signature": f'keyId="{key_id}",algorithm="{signing.algorithm}",'
            f'headers="{" ".join(signed)}",signature="{signature}"',
            "TPP-Signature-Certificate": b64encode(certificate.public_bytes(Encoding.DER)).decode(),
        }
    )


def _named(reference: SecretReference) -> str:
    return reference.env or reference.file or ""


# Reading PEM costs more than signing. Kept by content, so that another file is another entry.
@lru_cache(maxsize=16)
def _certificate(pem: bytes, name: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise SecretMissingError(f"{name} holds no certificate in PEM") from None


@lru_cache(maxsize=16)
def _key(pem: bytes, name: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SecretMissingError(f"{name} holds no private key in PEM without a password") from None
    if not isinstance(key, RSAPrivateKey):
        raise SecretMissingError(f"{name} holds no RSA key")
    return key
