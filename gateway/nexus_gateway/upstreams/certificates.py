"""What proves upstreams to us and us to them: TLS contexts of files that may be replaced while we run.

The files of each `tls` are looked at every second, behind the links by which a Secret is mounted; new ones are used for
new connections. Open towards a bad pair: the last good one stays, and the fault is told once. Closed where there has
never been a good one: no connection is made.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.core import Metric

from nexus_gateway.fingerprint import print_of
from nexus_gateway.routes_file import TlsFile
from nexus_gateway.telemetry import families

if TYPE_CHECKING:
    from nexus_gateway.routes import Upstream

LOOK_SECONDS = 1.0


class UpstreamTls:
    """What new connections are made with."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.context = context
        """None where its files have never been good."""
        self.expires: datetime | None = None
        """Of the certificate that we show; None where we show none."""
        self.refused = ""
        """Why newer files are not taken."""
        self.seen: object = None
        """Fingerprint of the files when they were looked at last."""
        self.doubted = False
        """True where they were bad then, for the first time."""


class Certificates:
    """One `UpstreamTls` for all upstreams whose `tls` says the same."""

    def __init__(self, tell: Callable[[TlsFile, str], None]) -> None:
        """`tell(files, reason)`: new ones are refused, or taken where there is no reason. From another thread."""
        self._tell = tell
        self._known: dict[TlsFile, UpstreamTls] = {}

    def of(self, files: TlsFile) -> UpstreamTls:
        """Reads the files where nobody has asked for them before."""
        found = self._known.get(files)
        if found is None:
            found = self._known[files] = UpstreamTls()
            self._look_at(files, found)
        return found

    def keep(self, files: AbstractSet[TlsFile]) -> None:
        """Forgets what no configuration names any more, and reads what is new."""
        for gone in self._known.keys() - files:
            del self._known[gone]
        for named in files:
            self.of(named)

    async def run(self) -> None:
        """Until it is cancelled. Reads in a thread: the system's authorities take tens of milliseconds."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        for files, tls in list(self._known.items()):
            self._look_at(files, tls)

    def metrics(self, upstreams: Iterable[Upstream]) -> Iterator[Metric]:
        """Of upstreams that are asked over TLS."""
        first = ((upstream.name, upstream.endpoints[0]) for upstream in upstreams)
        known = {name: self._known.get(endpoint.tls) for name, endpoint in first}
        kept = {(name,): tls for name, tls in known.items() if tls is not None}
        yield families.CERTIFICATE_REFUSED.told({labels: 1 if tls.refused else 0 for labels, tls in kept.items()})
        yield families.CERTIFICATE_EXPIRES.told(
            {labels: tls.expires.timestamp() for labels, tls in kept.items() if tls.expires is not None}
        )

    def _look_at(self, files: TlsFile, tls: UpstreamTls) -> None:
        """A pair that is just being written is bad at one look and good at the next, so only the second bad look is
        told."""
        now, first = _print(files), tls.seen is None
        changed = now != tls.seen
        if not changed and not tls.doubted:
            return
        tls.seen = now
        try:
            context, expires = tls_context(files), _expires(files)
        except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError
            tls.doubted = changed
            reason = getattr(error, "strerror", None) or str(error)
            if not changed and reason != tls.refused:
                tls.refused = reason
                self._tell(files, reason)
            return
        if _print(files) == now:  # else it is read again at the next look, which finds it changed
            tls.context, tls.expires, tls.refused, tls.doubted = context, expires, "", False
            if not first:
                self._tell(files, "")


def tls_context(files: TlsFile) -> ssl.SSLContext:
    """Raises OSError where a file cannot be read, ssl.SSLError where it is no PEM or the pair does not fit."""
    context = ssl.create_default_context(cafile=files.ca)
    if files.certificate:
        # A password, so that a key that wants one is refused and OpenSSL asks nobody at the terminal.
        context.load_cert_chain(files.certificate, files.key, password="")
    return context


def _expires(files: TlsFile) -> datetime | None:
    if files.certificate is None:
        return None
    from cryptography.x509 import load_pem_x509_certificate  # only who shows a certificate needs it

    return load_pem_x509_certificate(Path(files.certificate).read_bytes()).not_valid_after_utc


def _print(files: TlsFile) -> tuple[object, ...]:
    return tuple(print_of(Path(path)) for path in (files.ca, files.certificate, files.key) if path)
