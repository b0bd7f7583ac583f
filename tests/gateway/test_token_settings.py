"""What the environment may say of tokens, and how it is told what it may not."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.tokens.settings import TokenSettings, read_token_settings

from ..support.tokens import SECRET, jwk, key_set, public_pem, rsa_key

TEXT = SECRET.decode()
URL = "https://issuer.test/jwks"
PEM, FORM = serialization.Encoding.PEM, serialization.PublicFormat


def read(**environ: str) -> TokenSettings | None:
    return read_token_settings({f"GATEWAY_JWT_{name}": value for name, value in environ.items()})


def taken(**environ: str) -> TokenSettings:
    found = read(**environ)
    assert found is not None
    return found


def refusal(**environ: str) -> str:
    with pytest.raises(ConfigRefused) as refused:
        read(**environ)
    return str(refused.value)


def private_pem() -> str:
    form = serialization.PrivateFormat
    return rsa_key("pem").private_bytes(PEM, form.PKCS8, serialization.NoEncryption()).decode()


def public_of(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(PEM, FORM.SubjectPublicKeyInfo).decode()


def certificate_pem() -> str:
    key, name = rsa_key("pem"), x509.Name([])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + datetime.timedelta(days=1))
    return made.sign(key, hashes.SHA256()).public_bytes(PEM).decode()


def test_without_a_key_no_token_is_taken() -> None:
    assert read() is None
    assert read(SECRET="", PUBLIC_KEY="", JWKS_URL="", ALGORITHM="HS256", ISSUER="x") is None


def test_all_kinds_of_keys_may_be_on_at_once() -> None:
    every = {"SECRET": TEXT, "PUBLIC_KEY": public_pem(rsa_key("pem")).decode(), "JWKS_URL": URL}
    assert taken(**every).algorithms == {"HS256", "RS256"}
    assert taken(**every, ALGORITHM="HS256, RS256").algorithms == {"HS256", "RS256"}
    only_rsa = taken(**every, ALGORITHM="RS256")
    assert (only_rsa.secret, only_rsa.jwks_url) == (None, URL)
    only_secret = taken(**every, ALGORITHM="HS256")
    assert (only_secret.secret, only_secret.public_key, only_secret.jwks_url) == (SECRET, None, None)


def test_algorithm_comes_from_the_key() -> None:
    assert taken(SECRET=TEXT).algorithms == {"HS256"}
    assert taken(JWKS_URL=URL).algorithms == {"RS256"}


@pytest.mark.parametrize(
    ("environ", "mend"),
    [
        ({"SECRET": TEXT, "ALGORITHM": "RS256"}, "set GATEWAY_JWT_PUBLIC_KEY or GATEWAY_JWT_JWKS_URL"),
        ({"JWKS_URL": URL, "ALGORITHM": "HS256"}, "set GATEWAY_JWT_SECRET"),
        ({"JWKS_URL": URL, "ALGORITHM": "RS256,HS256"}, "set GATEWAY_JWT_SECRET"),
        ({"SECRET": TEXT, "ALGORITHM": "none"}, "write HS256 or RS256"),
        ({"SECRET": TEXT, "ALGORITHM": "hs256"}, "write HS256 or RS256"),
        ({"SECRET": TEXT, "ALGORITHM": "HS256,"}, "write HS256 or RS256"),
        ({"SECRET": TEXT, "ALGORITHM": "HS512"}, "write HS256 or RS256"),
    ],
    ids=str,
)
def test_algorithm_that_contradicts_the_keys_is_refused(environ: dict[str, str], mend: str) -> None:
    said = refusal(**environ)
    assert said.startswith(f"GATEWAY_JWT_ALGORITHM: {environ['ALGORITHM']!r}: ")
    assert mend in said


@pytest.mark.parametrize(
    ("secret", "mend"),
    [
        ("swordfish", "9 bytes"),
        ("x" * 31, "openssl rand -hex 32"),
        (" " + TEXT, "take it away"),
        (TEXT + "\n", "take it away"),
        (public_pem(rsa_key("pem")).decode().strip(), "set GATEWAY_JWT_PUBLIC_KEY"),
        (key_set(jwk("pem")).decode()[10:-2], "set GATEWAY_JWT_PUBLIC_KEY"),
    ],
    ids=["short", "31 bytes", "blank before", "line break behind", "PEM", "JWK"],
)
def test_secret_that_is_none_is_refused_and_not_shown(secret: str, mend: str) -> None:
    said = refusal(SECRET=secret)
    assert said.startswith("GATEWAY_JWT_SECRET: ")
    assert mend in said
    assert secret.strip()[:16] not in said


def test_secret_is_not_shown_by_the_settings() -> None:
    assert TEXT not in repr(taken(SECRET=TEXT))


@pytest.mark.parametrize(
    ("pem", "mend"),
    [
        (private_pem, "openssl pkey -pubout"),
        (certificate_pem, "openssl x509 -pubkey -noout"),
        (lambda: public_pem(rsa_key("small")).decode(), "1024 bits: make one of 2048"),
        (lambda: public_pem(rsa_key("pem")).decode() * 2, "holds 2 PEM blocks"),
        (lambda: public_pem(rsa_key("pem")).decode().replace("A", "B"), "holds no public key"),
        (lambda: public_pem(rsa_key("pem")).decode() + private_pem(), "holds 2 PEM blocks"),
        (lambda: public_of(ec.generate_private_key(ec.SECP256R1())), "takes an RSA key"),
        (lambda: public_of(ed25519.Ed25519PrivateKey.generate()), "takes an RSA key"),
    ],
    ids=["private", "certificate", "small", "two", "broken", "public and private", "EC", "Ed25519"],
)
def test_public_key_that_is_none_is_refused_by_text_and_by_file(
    pem: Callable[[], str], mend: str, tmp_path: Path
) -> None:
    text = pem()
    (tmp_path / "key.pem").write_text(text)
    for value, place in ((text, "the PEM text"), (str(tmp_path / "key.pem"), str(tmp_path))):
        said = refusal(PUBLIC_KEY=value)
        assert said.startswith("GATEWAY_JWT_PUBLIC_KEY: ")
        assert place in said
        assert mend in said
        assert text.splitlines()[1] not in said


def test_path_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    said = refusal(PUBLIC_KEY=str(tmp_path / "none.pem"))
    assert str(tmp_path / "none.pem") in said
    assert "No such file" in said
    assert "Is a directory" in refusal(PUBLIC_KEY=str(tmp_path))
    assert "GATEWAY_JWT_PUBLIC_KEY" in refusal(PUBLIC_KEY="/nul\0.pem")
    (tmp_path / "no.pem").write_text("hello")
    assert "holds 0 PEM blocks" in refusal(PUBLIC_KEY=str(tmp_path / "no.pem"))


@pytest.mark.parametrize("value", [TEXT, "swordfish" * 100, "swordfish/" * 100, "/" + "swordfish" * 100])
def test_secret_in_the_public_key_s_place_is_not_shown(value: str) -> None:
    assert value[:9] not in refusal(PUBLIC_KEY=value)


@pytest.mark.parametrize(
    "url", [URL, "https://10.0.0.1:8443/a?b=c", "http://127.0.0.1:80/jwks", "http://localhost/", "http://[::1]:9/k"]
)
def test_url_of_a_key_set_is_taken(url: str) -> None:
    assert taken(JWKS_URL=url).jwks_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.test/jwks", "http://127.0.0.1.evil.test/", "http://10.0.0.1/", "http://0.0.0.0/",
        "ftp://127.0.0.1/", "file:///etc/passwd", "issuer.test/jwks", "https://", "https:///jwks", "//issuer.test",
        f"{URL}#x", f"{URL} ", f" {URL}", "https://issuer.test/\njwks", "https://issuer.test:port/",
        "https://issuer.test:0/", "https://issuer.test:99999/", "https://[::1/",
        "https://user:swordfish@issuer.test/", "https://swordfish@issuer.test/", "http://127.0.0.1@issuer.test/",
        "https://user:swordfish@issuer.test:x/", "https:user:swordfish@issuer.test/",
    ],
)  # fmt: skip
def test_url_that_is_not_safe_is_refused_and_its_password_not_shown(url: str) -> None:
    said = refusal(JWKS_URL=url)
    assert said.startswith("GATEWAY_JWT_JWKS_URL: ")
    assert "swordfish" not in said
    assert "write" in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEEWAY_SECONDS", "-1"), ("LEEWAY_SECONDS", "301"), ("LEEWAY_SECONDS", "nan"), ("LEEWAY_SECONDS", "inf"),
        ("LEEWAY_SECONDS", "half a minute"), ("ISSUER", ""), ("ISSUER", "  "), ("AUDIENCE", ""), ("AUDIENCE", "a,,b"),
        ("AUDIENCE", "a,"),
    ],
)  # fmt: skip
def test_value_out_of_range_is_refused_and_shown(name: str, value: str) -> None:
    said = refusal(SECRET=TEXT, **{name: value})
    assert said.startswith(f"GATEWAY_JWT_{name}: {value!r}: write ")


def test_what_is_not_set_has_its_default() -> None:
    plain = taken(SECRET=TEXT)
    assert (plain.issuer, plain.audiences, plain.leeway_seconds) == (None, frozenset(), 30.0)
    full = taken(SECRET=TEXT, ISSUER="https://i/", AUDIENCE=" a ,b", LEEWAY_SECONDS="0")
    assert (full.issuer, full.audiences, full.leeway_seconds) == ("https://i/", {"a", "b"}, 0.0)
