"""The Debian packages of an image, from what dpkg says is installed."""

from __future__ import annotations

from collections.abc import Iterator
from email.parser import HeaderParser
from urllib.parse import quote

from nexus_release.bill_of_materials.document import Part
from nexus_release.errors import BadInput

# The last two words of dpkg's three: whatever is wanted of it, it is whole and there.
INSTALLED = " ok installed"


def debian_packages(path: str, status: str) -> Iterator[Part]:
    """`status`: what `/var/lib/dpkg/status` holds. Raises BadInput where it is no such file; what was removed and has
    left its configuration is not listed."""
    for paragraph in status.split("\n\n"):
        if not paragraph.strip():
            continue
        fields = HeaderParser().parsestr(paragraph)
        name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
        if not name or not fields["Status"]:
            raise BadInput(path, paragraph[:60], "give what dpkg keeps in /var/lib/dpkg/status")
        if not fields["Status"].endswith(INSTALLED):
            continue
        url = f"pkg:deb/debian/{quote(name, safe='.-~')}@{quote(version, safe='.-~')}?arch={architecture}"
        yield {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}
