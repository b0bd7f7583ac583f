"""The bill of materials of an image: its Python packages, from the locks that they are installed by, and Debian's."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nexus_release.bill_of_materials.debian import debian_packages
from nexus_release.bill_of_materials.document import Part, document, properties
from nexus_release.errors import BadInput

_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[A-Za-z0-9.+!_-]+)(?: ; (?P<marker>[^\\]+?))?(?: \\)?")
_HASH = re.compile(r"    --hash=sha256:(?P<hex>[0-9a-f]{64})(?: \\)?")


def packages_bill(name: str, locks: dict[str, str], debian: dict[str, str] | None = None) -> str:
    """`locks` and `debian` (dpkg's status): path -> text. Raises BadInput for a line that is no pin, no hash and no
    comment, or a package without a hash: what is not pinned by its bytes cannot be listed."""
    parts = {str(part["bom-ref"]): part for path, text in locks.items() for part in _packages(path, text)}
    parts |= {
        str(part["bom-ref"]): part for path, text in (debian or {}).items() for part in debian_packages(path, text)
    }
    return document(
        {"type": "application", "bom-ref": name, "name": name, "properties": properties({"locks": " ".join(locks)})},
        [parts[ref] for ref in sorted(parts)],
    )


def _packages(path: str, text: str) -> Iterator[Part]:
    part: Part | None = None
    hashes: list[Part] = []
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if found := _HASH.fullmatch(line):
            hashes.append({"alg": "SHA-256", "content": found["hex"]})
            continue
        if line.lstrip().startswith(("#", "--extra-index-url")):
            continue
        if part is not None:
            if not hashes:
                raise BadInput(f"{path}:{number - 1}", part["name"], "pin it by hash: `make lock`")
            yield {**part, "hashes": hashes}
            part, hashes = None, []
        if not line:
            continue
        found = _PIN.fullmatch(line)
        if found is None:
            raise BadInput(f"{path}:{number}", line, "a lock holds `name==version` and `--hash=sha256:` lines")
        part = _package(**found.groupdict())


def _package(name: str, version: str, marker: str | None) -> Part:
    """Its hashes are those of each file in which it may come: one for each platform."""
    url = f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version.replace('+', '%2B')}"
    return {
        "type": "library",
        "bom-ref": url,
        "name": name,
        "version": version,
        "purl": url,
        **({"properties": properties({"only": marker})} if marker else {}),
    }
