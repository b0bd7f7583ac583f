"""Public keys as text: read without a library, so that settings and manifests can name them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints

from nexus_release.errors import BadInput, Missing

KeyPath = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*(/[a-z0-9][a-z0-9._-]*)*\.pem$")]
"""A file under `environments/`."""

_PEM = re.compile(r"\s*-----BEGIN PUBLIC KEY-----\s([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----\s*")
_CURVES: tuple[tuple[bytes, int], ...] = (
    (bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"), 91),
    (bytes.fromhex("3076301006072a8648ce3d020106052b8104002203620004"), 120),
    (bytes.fromhex("30819b301006072a8648ce3d020106052b810400230381860004"), 158),
)
"""How a key on P-256, P-384 and P-521 begins, and its length in bytes (SubjectPublicKeyInfo, RFC 5480)."""
_MEND = "write the PEM that `openssl ec -in KEY -pubout` prints, of a key on P-256, P-384 or P-521"


@dataclass(frozen=True)
class PublicKey:
    pem: str
    """As `openssl` writes it, with a final newline."""
    name: str
    """Where it was read, for people."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hex of the PEM text: `sha256sum FILE`, and the `hint` of a bundle."""
        return hashlib.sha256(self.pem.encode()).hexdigest()


def parse_public_key(text: str, where: str) -> PublicKey:
    """Raises BadInput; a private key is refused without being shown."""
    if "PRIVATE KEY" in text:
        raise BadInput(where, "a private key", f"{_MEND}; and replace this key: who could read the file has it")
    found = _PEM.fullmatch(text)
    try:
        der = base64.b64decode("".join(found[1].split()), validate=True) if found else b""
    except binascii.Error:
        der = b""
    if not any(der.startswith(beginning) and len(der) == length for beginning, length in _CURVES):
        raise BadInput(where, text[:60], _MEND)
    body = base64.b64encode(der).decode()
    wrapped = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))  # RFC 7468
    return PublicKey(f"-----BEGIN PUBLIC KEY-----\n{wrapped}\n-----END PUBLIC KEY-----\n", where)


def read_public_key(root: Path, path: str) -> PublicKey:
    """Raises Missing or BadInput, which name `path`."""
    try:
        return parse_public_key((root / path).read_text(encoding="ascii"), path)
    except FileNotFoundError:
        raise Missing(f"{path}: no such key") from None
    except UnicodeDecodeError:
        raise BadInput(path, "bytes that are no text", _MEND) from None


def public_keys(text: str, where: str) -> tuple[PublicKey, ...]:
    """Several, one after another. Raises BadInput for anything between them, or for none."""
    parts = re.findall(r"-----BEGIN.*?-----END[^-]*-----|\S+", text, re.DOTALL)
    if not parts:
        raise BadInput(where, text, _MEND)
    return tuple(parse_public_key(part, where) for part in parts)
