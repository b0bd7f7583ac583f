"""Keys that sign and keys that are trusted: where they come from, and what is none."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from nexus_release.digests import folder_listing
from nexus_release.errors import BadInput, NexusError
from nexus_release.trust.bundles import fault, new_private_key, sign_listing
from nexus_release.trust.keys import parse_public_key, public_keys
from nexus_release.trust.signed import prove_signed

from ..support.releases import keep_signed, make_record
from ..support.signing import COMPANY, SUCCESSOR, public, tools_in

CONTENT = make_record("pydoc-chat", 1).content


def test_two_releases_at_once_on_a_new_machine_have_one_key(tmp_path: Path) -> None:
    contents = [make_record("pydoc-chat", seed).content for seed in (1, 2, 1, 2)]
    with ThreadPoolExecutor(len(contents)) as pool:
        list(pool.map(lambda content: keep_signed(content, tools_in(tmp_path, "")), contents))
    tools = tools_in(tmp_path, None)
    own = tools.signatures.own_key()
    assert own
    for content in contents:
        assert prove_signed(content, tools.store, tools.signatures, [own]) == own
    assert stat.S_IMODE((tmp_path / "signing" / "key.pem").stat().st_mode) == 0o600
    assert {path.name for path in (tmp_path / "signing").iterdir()} == {"key.pem", "key.pub.pem"}


def test_a_public_half_that_was_lost_comes_back_with_the_next_signature(tmp_path: Path) -> None:
    keep_signed(CONTENT, tools_in(tmp_path, ""))
    own = tools_in(tmp_path).signatures.own_key()
    (tmp_path / "signing" / "key.pub.pem").unlink()
    assert tools_in(tmp_path).signatures.own_key() is None
    keep_signed(CONTENT, tools_in(tmp_path, ""))
    assert tools_in(tmp_path).signatures.own_key() == own


def test_a_key_is_a_file_or_the_text_that_a_secret_gives(tmp_path: Path) -> None:
    (tmp_path / "company.pem").write_text(COMPANY)
    given = (str(tmp_path / "company.pem"), COMPANY)
    assert {tools_in(tmp_path, key).signer.key for key in given} == {public(COMPANY)}


def private_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, secret: bytes | None = None) -> str:
    how = serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how).decode()


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: str(curve.name))
def test_each_curve_of_the_format_signs(tmp_path: Path, curve: ec.EllipticCurve) -> None:
    key = private_pem(ec.generate_private_key(curve))
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    listing = folder_listing(tmp_path)
    assert fault(listing, sign_listing(listing, "m", key.encode()), public(key)) == ""


@pytest.mark.parametrize(
    "key",
    [
        "/nowhere/at/all.pem",
        "-----BEGIN PRIVATE KEY-----\nrubbish\n-----END PRIVATE KEY-----\n",
        private_pem(rsa.generate_private_key(65537, 2048)),
        private_pem(ec.generate_private_key(ec.SECP256K1())),
        private_pem(ec.generate_private_key(ec.SECP256R1()), b"a passphrase"),
    ],
    ids=["no such file", "rubbish", "RSA", "another curve", "with a passphrase"],
)
def test_what_does_not_sign_is_refused_without_being_shown(tmp_path: Path, key: str) -> None:
    with pytest.raises(BadInput, match="NEXUS_SIGNING_KEY") as refused:
        keep_signed(CONTENT, tools_in(tmp_path, key))
    assert "BEGIN PRIVATE" not in str(refused.value)
    assert not (tmp_path / "signing").exists()


def test_a_step_that_may_not_sign_has_no_signer(tmp_path: Path) -> None:
    with pytest.raises(NexusError, match="declares no effect on the signing key"):
        _ = tools_in(tmp_path).limited(("read:store", "write:store")).signer


def test_a_private_key_among_trusted_ones_is_refused_without_being_shown() -> None:
    with pytest.raises(BadInput, match="a private key") as refused:
        parse_public_key(COMPANY, "keys/company.pem")
    assert COMPANY.splitlines()[1] not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["", "no key", public(COMPANY).pem[:-40], public(COMPANY).pem.replace("MFkw", "MFkx"), public(COMPANY).pem + "x"],
    ids=["empty", "text", "cut short", "another kind", "more behind it"],
)
def test_a_public_key_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="openssl ec"):
        parse_public_key(text, "keys/company.pem")


def test_keys_are_told_apart_by_their_bytes_and_not_by_their_line_ends() -> None:
    text = public(COMPANY).pem.replace("\n", "\r\n")
    assert parse_public_key(text, "NEXUS_SIGNING_KEY") == public(COMPANY)
    both = public_keys(public(COMPANY).pem + public(SUCCESSOR).pem, "NEXUS_SIGNING_KEY")
    assert both == (public(COMPANY), public(SUCCESSOR))


def test_a_new_key_is_another_one_each_time() -> None:
    assert new_private_key() != new_private_key()
