"""Tokens that nobody may enter with: each is a good one but for the one thing that its name says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from .tokens import (
    AUDIENCE,
    CLAIMS,
    ISSUER,
    NOW,
    SECRET,
    b64,
    by_rsa,
    by_secret,
    hs256,
    jwk,
    part,
    public_pem,
    rs256,
    rsa_key,
)


class Hostile(NamedTuple):
    name: str
    token: bytes
    reason: str
    """How the refusal begins."""


OURS, ISSUERS = "signed by no key of ours", "signed by no key of the issuer"
BASE64 = "a part is"
PARTS = "not of three parts"
NEVER = "header: holds a field"
HEADER, PAYLOAD = "header: no strict", "payload: no strict"


def hostile(trap: str) -> Iterator[Hostile]:
    """`trap`: a URL of this machine that must see no request."""
    yield from _algorithms()
    yield from _confused_keys()
    yield from _brought_keys(trap)
    yield from _kids()
    yield from _shapes()
    yield from _signatures()
    yield from _bytes()
    yield from _json()
    yield from _times()
    yield from _audiences()
    yield from _subjects_and_models()


def _algorithms() -> Iterator[Hostile]:
    for name in ("none", "None", "NONE", "nOnE", "", "none ", "hs256", "Hs256", "HS256 ", "HS512", "RS512", "PS256"):
        signed = part({"alg": name, "typ": "JWT"}) + b"." + part(CLAIMS)
        yield Hostile(f"alg {name!r} with a signature by the secret", signed + b"." + b64(hs256(signed)), OURS)
        yield Hostile(f"alg {name!r} without a signature", signed + b".", BASE64)
    yield Hostile("no alg", by_secret({"alg": ...}), "alg: no text")
    for value in (None, 256, True, ["HS256"], {"HS256": 1}):
        yield Hostile(f"alg {value!r}", by_secret({"alg": value}), "alg: no text")
    yield Hostile("HS256 that says RS256", by_secret({"alg": "RS256"}), OURS)
    yield Hostile("RS256 that says HS256", by_rsa({"alg": "HS256"}), OURS)
    signed = part({"alg": "PS256"}) + b"." + part(CLAIMS)
    salted = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    pss = b64(rsa_key("pem").sign(signed, salted, hashes.SHA256()))
    yield Hostile("PS256 by the right key", signed + b"." + pss, OURS)
    signed = by_rsa().rpartition(b".")[0]
    sha512 = b64(rsa_key("pem").sign(signed, padding.PKCS1v15(), hashes.SHA512()))
    yield Hostile("RS256 over SHA-512", signed + b"." + sha512, OURS)
    psychic = part({"alg": "ES256"}) + b"." + part(CLAIMS) + b"."
    yield Hostile("ES256 with a psychic signature", psychic + b64(bytes(64)), OURS)
    yield Hostile("RS256 with a signature of zeros", signed + b"." + b64(bytes(256)), OURS)
    other = ec.generate_private_key(ec.SECP256R1()).sign(psychic[:-1], ec.ECDSA(hashes.SHA256()))
    yield Hostile("ES256 by somebody", psychic + b64(other), OURS)


def _confused_keys() -> Iterator[Hostile]:
    public = rsa_key("pem").public_key()
    encoding, form = serialization.Encoding, serialization.PublicFormat
    written = {
        "PEM": public_pem(rsa_key("pem")),
        "PEM without its last line break": public_pem(rsa_key("pem")).strip(),
        "PEM with CRLF": public_pem(rsa_key("pem")).replace(b"\n", b"\r\n"),
        "PKCS1 PEM": public.public_bytes(encoding.PEM, form.PKCS1),
        "DER": public.public_bytes(encoding.DER, form.SubjectPublicKeyInfo),
        "PKCS1 DER": public.public_bytes(encoding.DER, form.PKCS1),
        "SSH": public.public_bytes(encoding.OpenSSH, form.OpenSSH),
        "JWK": json.dumps(jwk("pem")).encode(),
        "modulus": public.public_numbers().n.to_bytes(256, "big"),
        "modulus of the published key": rsa_key("k1").public_key().public_numbers().n.to_bytes(256, "big"),
    }
    for name, secret in written.items():
        yield Hostile(f"HS256 by the public key as {name}", by_secret({"kid": "k1"}, secret=secret), OURS)
    for secret in (b"", b"\0", b"secret", SECRET[:-1], SECRET + b"\n", b64(SECRET)):
        yield Hostile(f"HS256 by the secret {secret!r}", by_secret(secret=secret), OURS)


def _brought_keys(trap: str) -> Iterator[Hostile]:
    brought: dict[str, Any] = {
        "jwk": jwk("thief"),
        "x5c": ["MIIB"],
        "jku": f"{trap}/jwks.json",
        "x5u": f"{trap}/cert.pem",
        "crit": ["exp"],
        "b64": False,
        "zip": "DEF",
        "enc": "A256GCM",
    }
    for field, value in brought.items():
        yield Hostile(f"{field} and the thief's own signature", by_rsa({field: value}, key="thief"), NEVER)
        yield Hostile(f"{field} and a good signature", by_secret({field: value}), NEVER)
        yield Hostile(f"{field} null", by_secret({field: None}), NEVER)
    yield Hostile("crit that is empty", by_secret({"crit": []}), NEVER)


def _kids() -> Iterator[Hostile]:
    bad = [
        "../../../../dev/null", "..", "k1\0", "k1\n", "k1' OR '1'='1", "k1; DROP TABLE keys", "$(id)", "k1|id", "ké",
        "",        "k" * 129, "%2e%2e%2f", "k 1", None, 1, True, 1.5, ["k1"], {"k1": 1},
    ]  # fmt: skip
    for kid in bad:
        yield Hostile(f"kid {str(kid)[:30]!r}", by_secret({"kid": kid}), "kid: no name")
    yield Hostile("kid of a file, and an empty secret", by_secret({"kid": "/dev/null"}, secret=b""), OURS)
    yield Hostile("kid that the issuer has not", by_rsa({"kid": "k2"}, key="k2"), ISSUERS)
    yield Hostile("kid of another's key", by_rsa({"kid": "k1"}, key="k2"), ISSUERS)
    yield Hostile("kid in another case", by_rsa({"kid": "K1"}, key="k1"), ISSUERS)
    yield Hostile("the issuer's key without its kid", by_rsa(key="k1"), OURS)
    yield Hostile("typ of another purpose", by_secret({"typ": "logout+jwt"}), "typ: no JWT")
    yield Hostile("typ that is no text", by_secret({"typ": ["JWT"]}), "typ: no JWT")


def _shapes() -> Iterator[Hostile]:
    good = by_secret()
    header, payload, signature = good.split(b".")
    for name, token in {
        "nothing": b"",
        "one part": header,
        "two parts": header + b"." + payload,
        "four parts": good + b"." + signature,
        "five parts, as of a JWE": b".".join(
            [part({"alg": "dir", "enc": "A256GCM"}), b"", b64(bytes(12)), payload, signature]
        ),
        "JSON serialization": json.dumps({"payload": payload.decode(), "signatures": []}).encode(),
        "a dot before": b"." + good,
        "a dot behind": good + b".",
    }.items():
        yield Hostile(name, token, PARTS)
    for name, token in {
        "dots alone": b"..",
        "no header": b"." + payload + b"." + signature,
        "no payload": header + b".." + signature,
    }.items():
        yield Hostile(name, token, BASE64)
    yield Hostile("longer than 8 KiB", by_secret(payload={"filler": "x" * 6200}), "longer than")
    yield Hostile("a megabyte of dots", b"." * (1 << 20), "longer than")


def _signatures() -> Iterator[Hostile]:
    for kind, good in {"HS256": by_secret(), "RS256": by_rsa()}.items():
        signed, _, signature = good.rpartition(b".")
        raw = hs256(signed) if kind == "HS256" else rs256(signed)
        yield Hostile(f"{kind} without a signature", signed + b".", BASE64)
        yield Hostile(f"{kind} without a signature and its dot", signed, PARTS)
        for name, other in {
            "one byte less": raw[:-1],
            "one byte more": raw + b"\0",
            "its first byte changed": bytes([raw[0] ^ 1]) + raw[1:],
            "its last byte changed": raw[:-1] + bytes([raw[-1] ^ 1]),
            "twice": raw + raw,
            "one byte alone": raw[:1],
        }.items():
            yield Hostile(f"{kind} signature: {name}", signed + b"." + b64(other), OURS)
        yield Hostile(
            f"{kind} signature of other claims",
            by_secret(payload={"sub": "boss"}).rpartition(b".")[0] + b"." + signature,
            OURS,
        )


def _bytes() -> Iterator[Hostile]:
    good = by_secret()
    signed, _, signature = good.rpartition(b".")
    last = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    unused_bit = last[last.index(signature[-1]) ^ 1]
    for name, token in {
        "padding": good + b"=",
        "an unused bit set": good[:-1] + bytes([unused_bit]),
        "a line break behind": good + b"\n",
        "a blank before": b" " + good,
        "a line break within": good[:40] + b"\n" + good[40:],
        "standard base64": signed + b"." + b64(b"\xfb\xff" * 16).replace(b"-", b"+").replace(b"_", b"/"),
        "a NUL behind": good + b"\0",
        "a byte beyond ASCII": good[:20] + b"\xc3\xa9" + good[20:],
        "a length that base64 has not": good + b"AA",
        "percent": good.replace(b".", b"%2E", 1) + b".AA",
    }.items():
        yield Hostile(name, token, BASE64)


def _json() -> Iterator[Hostile]:
    good = json.dumps(CLAIMS)
    deep = '{"a":' + "[" * 17 + "]" * 17 + "," + good[1:]
    for name, text in {
        "sub twice": good[:-1] + ', "sub": "boss"}',
        "exp twice": good[:-1] + f', "exp": {NOW + 999}}}',
        "a name twice by an escape": good[:-1] + ', "\\u0073ub": "boss"}',
        "a name twice within": good[:-1] + ', "a": {"b": 1, "b": 2}}',
        "nested too deep": deep,
        "nested thousands deep": '{"a":' + "[" * 2900 + "]" * 2900 + "}",
        "objects thousands deep": '{"a":' * 1000 + "1" + "}" * 1000,
        "brackets without end": "[" * 6000,
        "a list": f"[{good}]",
        "a text": '"team-a"',
        "null": "null",
        "nothing but blanks": "  ",
        "two objects": good + good,
        "a comment": good + "// boss",
        "a comma too many": good[:-1] + ",}",
        "single quotes": good.replace('"', "'"),
        "exp NaN": good.replace(str(NOW + 600), "NaN"),
        "exp Infinity": good.replace(str(NOW + 600), "Infinity"),
        "exp of 5000 digits": good.replace(str(NOW + 600), "9" * 5000),
    }.items():
        yield Hostile(f"payload: {name}", by_secret(payload=text.encode()), PAYLOAD)
    for name, data in {
        "no UTF-8": good.encode().replace(b"team-a", b"team-\xff"),
        "UTF-16": good.encode("utf-16"),
        "UTF-32": good.encode("utf-32-le"),
        "a byte order mark": b"\xef\xbb\xbf" + good.encode(),
        "overlong UTF-8": good.encode().replace(b"team-a", b"team-\xc1\xa1"),
    }.items():
        yield Hostile(f"payload: {name}", by_secret(payload=data), PAYLOAD)
    for name, text in {
        "alg twice": '{"alg": "none", "alg": "HS256"}',
        "alg twice by an escape": '{"\\u0061lg": "none", "alg": "HS256"}',
        "kid twice": '{"alg": "HS256", "kid": "a", "kid": "b"}',
        "a list": '["HS256"]',
        "nested too deep": '{"alg": "HS256", "a": ' + "[" * 17 + "]" * 17 + "}",
        "no JSON": "HS256",
    }.items():
        yield Hostile(f"header: {name}", by_secret(text.encode()), HEADER)


def _times() -> Iterator[Hostile]:
    bad: list[Any] = [
        None,
        str(NOW + 600),
        "",
        "never",
        True,
        False,
        [NOW + 600],
        {"at": NOW + 600},
        (NOW + 600) * 1000,
    ]
    for name in ("exp", "nbf", "iat"):
        for value in [*bad, 10**400, -(10**400)]:
            yield Hostile(f"{name} {str(value)[:20]!r}", by_secret(payload={name: value}), f"{name}: no number")
        beyond = json.dumps(CLAIMS | {name: 777}).replace("777", "1e999").encode()
        yield Hostile(f"{name} 1e999", by_secret(payload=beyond), f"{name}: no number")
    yield Hostile("exp missing", by_secret(payload={"exp": ...}), "exp: missing or past")
    for value in (0, -1, -0.0, 1e-9, NOW - 31, NOW - 30):
        yield Hostile(f"exp {value}", by_secret(payload={"exp": value}), "exp: missing or past")
    for name in ("nbf", "iat"):
        for value in (NOW + 30.001, NOW + 31, NOW + 86_400):
            yield Hostile(f"{name} {value}", by_secret(payload={name: value}), f"{name}: to come")


def _audiences() -> Iterator[Hostile]:
    for value in (
        ..., None, "", "nexu", "nexus2", "Nexus", "nexus ", "nexus,other", "*", 1, True, {}, [], ["other"],
        [["nexus"]], {AUDIENCE: 1}, [AUDIENCE, 1], [AUDIENCE, None], [AUDIENCE, ["x"]], list(AUDIENCE), "nexus.",
        "nехus",
    ):  # fmt: skip
        yield Hostile(f"aud {value!r}", by_secret(payload={"aud": value}), "aud: another")
    for value in (
        ..., None, "", ISSUER[:-1], ISSUER + "x", ISSUER.upper(), ISSUER.replace("https", "http"),
        [ISSUER], {"is": ISSUER}, 1, True,
        f" {ISSUER}", f"{ISSUER}\0", "https://issuer.test/@evil.test/",
    ):  # fmt: skip
        yield Hostile(f"iss {value!r}", by_secret(payload={"iss": value}), "iss: another")


def _subjects_and_models() -> Iterator[Hostile]:
    for value in (
        ..., None, "", "x" * 257, 1, 1.5, True, ["team-a"], {"id": "team-a"}, "team\n-a", "team\0", "\x1b[31mred",
        "\ud800", "team\u202ea", "\u2028",
    ):  # fmt: skip
        yield Hostile(f"sub {str(value)[:20]!r}", by_secret(payload={"sub": value}), "sub: no printable")
    for value in (None, "chat", 1, True, {"chat": True}):
        yield Hostile(f"models {value!r}", by_secret(payload={"models": value}), "models: no list")
    for value in ([1], [None], ["chat", True], [["chat"]], [{"a": 1}], ["chat", ""], ["x" * 257], ["ch\nat"]):
        yield Hostile(f"models {str(value)[:20]!r}", by_secret(payload={"models": value}), "models: no printable")
