"""The RSA key of GATEWAY_JWT_PUBLIC_KEY, and what every RSA key must be like."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeGuard

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from nexus_gateway.config_errors import ConfigRefused

SMALLEST, BIGGEST = 2048, 8192
"""Bits. RFC 7518, 3.3 asks for 2048; each further doubling makes a check four times as long."""
_LONGEST_FILE = 64 << 10
_LONGEST_PATH = 255
_BEGINS = b"-----BEGIN "


def usable(key: Any) -> TypeGuard[RSAPublicKey]:
    return isinstance(key, RSAPublicKey) and SMALLEST <= key.key_size <= BIGGEST


def read_public_key(variable: str, value: str) -> RSAPublicKey:
    """`value` is PEM, also with `\\n` for its line breaks, or the path of a PEM file. Raises ConfigRefused."""
    if _BEGINS.decode() in value:
        return _parsed(f"{variable}: the PEM text", value.replace("\\n", "\n").encode())
    place = f"{variable}: {_shown(value)}"
    try:
        with Path(value).open("rb") as file:
            return _parsed(place, file.read(_LONGEST_FILE))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no path"
        raise ConfigRefused(f"{place}: {reason}: give a PEM file's path, or the PEM itself") from None


def _shown(value: str) -> str:
    """What looks like no path may be a secret in the wrong variable, which no log may show."""
    is_path = len(value) <= _LONGEST_PATH and (value.startswith("/") or "." in value)
    return repr(value) if is_path else f"its {len(value)} characters"


def _parsed(place: str, pem: bytes) -> RSAPublicKey:
    if pem.count(_BEGINS) != 1:
        raise ConfigRefused(f"{place}: holds {pem.count(_BEGINS)} PEM blocks: give the one of the public key")
    if b"PRIVATE KEY-----" in pem:
        raise ConfigRefused(
            f"{place}: holds a private key, which has no place here: `openssl pkey -pubout` gives the public one"
        )
    if b"CERTIFICATE-----" in pem:
        raise ConfigRefused(f"{place}: holds a certificate: `openssl x509 -pubkey -noout` gives its public key")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigRefused(f"{place}: holds no public key: begin with -----BEGIN PUBLIC KEY-----") from None
    if not isinstance(key, RSAPublicKey):
        raise ConfigRefused(f"{place}: holds a {type(key).__name__}: RS256 takes an RSA key")
    if not usable(key):
        raise ConfigRefused(f"{place}: an RSA key of {key.key_size} bits: make one of {SMALLEST} to {BIGGEST}")
    return key
