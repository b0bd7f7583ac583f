"""Signatures over a release's bytes, by real keys: what verifies, what does not, and that nobody is asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from model_signing import hashing, signing, verifying

from nexus_release.digests import digest_folder, folder_listing
from nexus_release.errors import BadInput, DigestMismatch, Missing, SignatureRefused
from nexus_release.record import Content, content_json, release_id
from nexus_release.steps.sign import SignIn, SignOut, sign
from nexus_release.trust.bundles import MOST_BYTES, fault, sign_listing
from nexus_release.trust.keys import PublicKey
from nexus_release.trust.signed import prove_signed, sign_release
from nexus_release.trust.statement import statement_digest
from nexus_release.wiring import Tools

from ..support.releases import ENTRY, keep_signed, make_record
from ..support.signing import COMPANY, STRANGER, SUCCESSOR, public, tools_in

CONTENT = make_record("pydoc-chat", 1).content


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    """With a store that holds one release, signed by the company."""
    made = tools_in(tmp_path / "work")
    keep_signed(CONTENT, made)
    return made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "deep" / "config.json").write_text("{}")
    return folder


def prove(tools: Tools, *keys: str, content: Content = CONTENT) -> PublicKey:
    return prove_signed(content, tools.store, tools.signatures, [public(key) for key in keys])


def entry(tools: Tools, digest: str) -> Path:
    return tools.work / "store" / "sha256" / digest.removeprefix("sha256:")


def kept(tools: Tools, digest: str, key: str = COMPANY) -> Path:
    return tools.work / "store" / "signatures" / digest.removeprefix("sha256:") / f"{public(key).fingerprint}.json"


def test_what_is_signed_is_proved_by_the_key_that_signed_it(tools: Tools) -> None:
    assert prove(tools, COMPANY) == public(COMPANY)


def test_a_step_that_is_repeated_leaves_the_signatures_that_there_are(tools: Tools) -> None:
    digests = (CONTENT.artifact.digest, statement_digest(CONTENT))
    before = [kept(tools, digest).read_bytes() for digest in digests]
    given = SignIn(content=content_json(CONTENT).decode())
    assert sign(given, tools) == sign(given, tools) == SignOut(statement=statement_digest(CONTENT))
    assert tools.notes == {"signed_by": public(COMPANY).fingerprint}
    assert [kept(tools, digest).read_bytes() for digest in digests] == before


def test_nobody_signs_what_a_gate_has_refused(tools: Tools) -> None:
    refused = make_record("pydoc-chat", 2, accepted=False).content
    with pytest.raises(BadInput, match="a gate has refused it"):
        sign(SignIn(content=content_json(refused).decode()), tools)
    assert tools.signatures.of(statement_digest(refused)) == {}


def test_the_output_is_the_same_on_another_machine_with_another_key(tools: Tools, tmp_path: Path) -> None:
    other = tools_in(tmp_path / "other", STRANGER)
    assert keep_signed(CONTENT, other) == keep_signed(CONTENT, tools)


def test_other_tools_verify_what_we_sign(model: Path, tmp_path: Path) -> None:
    (tmp_path / "sig").write_bytes(sign_listing(folder_listing(model), "m", COMPANY.encode()))
    (tmp_path / "key.pem").write_text(public(COMPANY).pem)
    verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "key.pem").verify(model, tmp_path / "sig")
    (model / "model.safetensors").write_bytes(b"other")
    with pytest.raises(ValueError, match="mismatch"):
        verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "key.pem").verify(model, tmp_path / "sig")


def test_we_verify_what_other_tools_sign(model: Path, tmp_path: Path) -> None:
    assert fault(folder_listing(model), signed_elsewhere(model, tmp_path), public(COMPANY)) == ""


def signed_elsewhere(model: Path, folder: Path, *ignored: str) -> bytes:
    (folder / "key").write_text(COMPANY)
    how = hashing.Config().set_ignored_paths(paths=[model / name for name in ignored])
    config = signing.Config().use_elliptic_key_signer(private_key=folder / "key").set_hashing_config(how)
    config.sign(model, folder / "elsewhere")
    return (folder / "elsewhere").read_bytes()


@pytest.mark.parametrize("stray", ["other.json", ".gitattributes", ".git/config", "deep/.gitignore"])
def test_a_file_more_is_found_whatever_its_name(model: Path, stray: str) -> None:
    bundle = sign_listing(folder_listing(model), "m", COMPANY.encode())
    (model / stray).parent.mkdir(exist_ok=True)
    (model / stray).write_text("x")
    assert stray in fault(folder_listing(model), bundle, public(COMPANY))


def test_what_a_bundle_says_is_to_be_ignored_counts_all_the_same(model: Path, tmp_path: Path) -> None:
    bundle = signed_elsewhere(model, tmp_path, "deep")
    assert "deep/config.json" in fault(folder_listing(model), bundle, public(COMPANY))


def test_a_file_less_or_renamed_is_found(model: Path) -> None:
    bundle = sign_listing(folder_listing(model), "m", COMPANY.encode())
    (model / "deep" / "config.json").rename(model / "deep" / "konfig.json")
    told = fault(folder_listing(model), bundle, public(COMPANY))
    assert "deep/config.json" in told
    assert "deep/konfig.json" in told


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "no JSON": lambda _: b"{",
    "a list": lambda _: b"[]",
    "no signature": lambda data: data.replace(b'"signatures"', b'"signature"'),
    "no hint": lambda data: data.replace(b'"hint"', b'"tint"'),
    "another payload": lambda data: data.replace(b'"payload":"', b'"payload":"AAAA'),
    "a signature cut short": lambda data: data.replace(b'"sig":"ME', b'"sig":"'),
    "another type": lambda data: data.replace(b"in-toto+json", b"out-toto+json"),
    "a certificate": lambda data: data.replace(b'"publicKey"', b'"certificate"'),
    "deep": lambda _: b'{"verificationMaterial":' * 100_000,
    "long": lambda data: data + b" " * MOST_BYTES,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bundle_that_is_none_is_a_fault_and_no_error(model: Path, name: str) -> None:
    listing = folder_listing(model)
    bundle = sign_listing(listing, "m", COMPANY.encode())
    changed = HOSTILE[name](bundle)
    assert changed != bundle
    assert fault(listing, bundle, public(COMPANY)) == ""
    assert fault(listing, changed, public(COMPANY))


def test_a_bundle_that_names_a_key_which_did_not_make_it_is_a_fault(model: Path) -> None:
    listing = folder_listing(model)
    forged = sign_listing(listing, "m", STRANGER.encode()).replace(
        public(STRANGER).fingerprint.encode(), public(COMPANY).fingerprint.encode()
    )
    assert "InvalidSignature" in fault(listing, forged, public(COMPANY))


def test_a_signature_of_another_release_does_not_count(tools: Tools) -> None:
    other = make_record("pydoc-chat", 2).content
    keep_signed(other, tools)
    shutil.copy(kept(tools, other.artifact.digest), kept(tools, CONTENT.artifact.digest))
    with pytest.raises(SignatureRefused, match=CONTENT.artifact.digest):
        prove(tools, COMPANY)


def test_an_artifact_signed_for_one_release_is_not_signed_for_another(tools: Tools) -> None:
    """Whoever can write to main could have a record speak of bytes that we did sign."""
    forged = CONTENT.model_copy(update={"base_source": "hf://somebody/else"})
    with pytest.raises(Missing, match=statement_digest(forged)):
        prove(tools, COMPANY, content=forged)
    sign_release(forged, tools.store, tools.signatures, tools_in(tools.work, STRANGER).signer)
    with pytest.raises(SignatureRefused, match="not signed by it"):
        prove(tools, COMPANY, content=forged)


def add(folder: Path) -> None:
    (folder / "stray.json").write_text("{}")


def remove(folder: Path) -> None:
    next(folder.iterdir()).unlink()
    (folder / "another").write_text("")


def change(folder: Path) -> None:
    path = next(folder.iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"~")


def link(folder: Path) -> None:
    path = next(folder.iterdir())
    path.rename(folder.parent.parent / "elsewhere")
    path.symlink_to(folder.parent.parent / "elsewhere")


@pytest.mark.parametrize("harm", [add, remove, change, link], ids=lambda harm: str(harm.__name__))
@pytest.mark.parametrize("part", ["artifact", "bill of materials", "statement"])
def test_a_changed_folder_is_named(tools: Tools, part: str, harm: Callable[[Path], None]) -> None:
    digest = {
        "artifact": CONTENT.artifact.digest,
        "bill of materials": CONTENT.bill_of_materials,
        "statement": statement_digest(CONTENT),
    }[part]
    harm(entry(tools, digest))
    with pytest.raises(DigestMismatch, match=digest.removeprefix("sha256:")):
        prove(tools, COMPANY)


def test_nobody_s_key_and_somebody_else_s_key_are_refused(tools: Tools, tmp_path: Path) -> None:
    with pytest.raises(SignatureRefused, match=f"signed by {public(COMPANY).fingerprint[:12]}.*not signed by it"):
        prove(tools, STRANGER)
    shutil.rmtree(tools.work / "store" / "signatures")
    with pytest.raises(SignatureRefused, match="signed by nobody"):
        prove(tools, COMPANY)


def test_a_signature_that_was_tampered_with_is_refused_and_made_anew(tools: Tools) -> None:
    path = kept(tools, statement_digest(CONTENT))
    path.write_bytes(path.read_bytes().replace(b'"payload":"ew', b'"payload":"eW'))
    with pytest.raises(SignatureRefused, match=statement_digest(CONTENT)):
        prove(tools, COMPANY)
    keep_signed(CONTENT, tools)
    assert prove(tools, COMPANY)


def test_a_stray_file_among_signatures_is_passed_over(tools: Tools) -> None:
    folder = kept(tools, CONTENT.artifact.digest).parent
    (folder / "README.json").write_text("not a signature")
    (folder / f".{public(COMPANY).fingerprint}.json.x").write_text("half written")
    assert prove(tools, COMPANY)


def test_while_a_key_is_rotated_either_counts_and_then_the_new_one_alone(tools: Tools) -> None:
    assert prove(tools, SUCCESSOR, COMPANY) == public(COMPANY)
    with pytest.raises(SignatureRefused):
        prove(tools, SUCCESSOR)
    keep_signed(CONTENT, tools_in(tools.work, SUCCESSOR))
    assert prove(tools, SUCCESSOR) == public(SUCCESSOR)
    assert prove(tools, COMPANY) == public(COMPANY), "the old signature stands beside it"


def test_a_large_file_is_signed_and_proved_in_little_memory(tmp_path: Path) -> None:
    size = 256 << 20
    folder = tmp_path / "large"
    folder.mkdir()
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(size)
    fault([], b"", public(COMPANY))  # the library is loaded before memory is looked at
    tracemalloc.start()
    try:
        bundle = sign_listing(folder_listing(folder), "large", COMPANY.encode())
        assert fault(folder_listing(folder), bundle, public(COMPANY)) == ""
        assert tracemalloc.get_traced_memory()[1] < size / 16
    finally:
        tracemalloc.stop()


@pytest.fixture
def nowhere(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment in which any look-up or connection ends the process, and whatever is cached is seen."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, os\n"
        "def seen(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.sendto'):\n"
        "        os.write(2, f'asked: {event} {arguments}'.encode()); os._exit(99)\n"
        "sys.addaudithook(seen)\n"
    )
    (tmp_path / "home").mkdir()
    yield {**os.environ, "HOME": str(tmp_path / "home"), "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    assert list((tmp_path / "home").iterdir()) == [], "no trust root of anybody's was fetched or cached"


def test_signing_and_proving_ask_nobody(nowhere: dict[str, str], tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from tests.release.test_signatures import COMPANY, CONTENT, keep_signed, prove, tools_in\n"
        "from pathlib import Path\n"
        "tools = tools_in(Path(sys.argv[1]))\n"
        "keep_signed(CONTENT, tools)\n"
        "prove(tools, COMPANY)\n"
        "print('proved')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "work")], env=nowhere, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "proved\n"), done.stderr


def test_the_watch_on_the_network_sees_a_question(nowhere: dict[str, str]) -> None:
    asked = "import socket; socket.create_connection(('127.0.0.1', 9))"
    assert subprocess.run([sys.executable, "-c", asked], env=nowhere, capture_output=True).returncode == 99


def nexus_prove(tools: Tools, *more: str, **options: str) -> subprocess.CompletedProcess[str]:
    given = {
        "release": release_id(CONTENT),
        "statement": statement_digest(CONTENT),
        "store": str(tools.work / "store"),
        "keys": public(COMPANY).pem,
    } | options
    words = [f"--{name}={value}" for name, value in given.items()]
    nexus = Path(sys.executable).parent / "nexus"
    return subprocess.run(
        [nexus, "prove", *words, *more], cwd=tools.work, env={"HOME": "/"}, capture_output=True, text=True
    )


def test_the_cluster_s_command_proves_a_release_on_a_volume_and_writes_nothing(tools: Tools) -> None:
    before = digest_folder(tools.work / "store")
    done = nexus_prove(tools, keys=public(STRANGER).pem + public(COMPANY).pem)
    assert done.returncode == 0, done.stderr
    assert public(COMPANY).fingerprint in done.stdout
    assert digest_folder(tools.work / "store") == before
    told = json.loads(nexus_prove(tools, "--json").stdout)
    assert (told["release"], told["fingerprint"]) == (release_id(CONTENT), public(COMPANY).fingerprint)


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        ({"keys": public(STRANGER).pem}, 1, "not signed by it"),
        ({"keys": ""}, 2, "give a public key"),
        ({"keys": "rubbish"}, 2, "NEXUS_TRUSTED_KEYS"),
        ({"release": "0" * 64}, 1, "the release that it states"),
        ({"statement": f"sha256:{0:064}"}, 1, "not in the store"),
        ({"statement": CONTENT.artifact.digest}, 1, "states no release"),
        ({"statement": "../../etc"}, 2, "64 lower-case hex digits"),
        ({"store": "/nowhere"}, 2, "does not exist"),
    ],
)
def test_the_cluster_s_command_refuses(tools: Tools, options: dict[str, str], status: int, told: str) -> None:
    done = nexus_prove(tools, **options)
    assert (done.returncode, done.stdout) == (status, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_the_cluster_s_command_names_a_changed_byte(tools: Tools) -> None:
    change(entry(tools, CONTENT.artifact.digest))
    done = nexus_prove(tools)
    assert done.returncode == 1
    assert f"{ENTRY} differs between byte 0 and 70" in done.stderr
