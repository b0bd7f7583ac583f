"""Who was let through to what, and who was not: a chain of lines, one for each request, written off its path.

Open: where the disk is full or the folder cannot be written, requests go on. The decisions that are lost are counted,
and once writing works again a line `gap` tells how many. A power cut may take the last seconds, since only a file's end
is synchronised.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from nexus_gateway.telemetry.audit_file import ChainFiles
from nexus_gateway.telemetry.chain import MARK, VERSION, canonical
from nexus_gateway.telemetry.gap_log import GapLog, Line
from nexus_gateway.telemetry.logs import timestamp
from nexus_gateway.telemetry.masking import masked
from nexus_gateway.telemetry.record import RequestRecord

LARGEST = 64 << 20
"""Bytes of a file, after which the chain goes on in a new one; the batch that fills it is still in it."""

_MADE = re.compile(r"[0-9a-f]{32}")
_FILLED = {
    "completion_tokens": b"%d", "previous": b'"%b"' % MARK, "prompt_tokens": b"%d", "request_id": b'"%b"',
    "seq": MARK, "time": b'"%b"', "trace_id": b'"%b"',
}  # fmt: skip
"""What differs from line to line, see `AuditLog.text`, and what `chain.bound_text` puts in."""


class _Decided(NamedTuple):
    time: float
    model: str
    record: RequestRecord


class AuditLog(GapLog[_Decided | bytes]):
    """Open, see above."""

    def __init__(self, path: Path, salt: bytes, process: str, *, largest: int = LARGEST) -> None:
        """`path` is a folder: each process writes files of its own there. `salt` makes principals out of key ids: the
        same in all processes whose lines are to be told of together, and known to nobody who reads them."""
        super().__init__("nexus-audit")
        self._salt = salt
        self._principal = lru_cache(4096)(self._principal_of)  # the same callers come again and again
        self._form = lru_cache(4096)(self._form_of)
        header = {
            "version": VERSION,
            "process": process,
            "pid": os.getpid(),
            "started": timestamp(time.time()),
            "chain": secrets.token_hex(8),
        }
        self._files = ChainFiles(path, header, largest)

    def write(self, record: RequestRecord, model: str) -> None:
        """Takes the record as it is at its end: nothing may change it any more. `model` is empty where unknown."""
        self.add(_Decided(time.time(), model, record))

    def append(self, lines: list[Line]) -> None:
        self._files.append(lines)

    def close(self) -> None:
        self._files.close()

    def line(self, item: _Decided | bytes) -> Line:
        if isinstance(item, bytes):
            return item
        return self.text(*item) or self.decision(*item)

    def text(self, at: float, model: str, record: RequestRecord) -> bytes | None:
        """`decision` as `chain.bound_text` takes it, by a form and five values: a dictionary that is put in order and
        written takes twice as long. None where the client has an id of its own, which may have to be masked."""
        if not _MADE.fullmatch(record.request_id):
            return None
        form = self._form(
            record.key_id, record.code, model, record.route, record.upstream, record.release, record.revision,
            record.status,
        )  # fmt: skip
        return form % (
            record.completion_tokens,
            record.prompt_tokens,
            record.request_id.encode(),
            timestamp(at).encode(),
            record.trace_id.encode(),
        )

    def _form_of(
        self, key_id: str, code: str, model: str, route: str, upstream: str, release: str, revision: str, status: int
    ) -> bytes:
        """Whatever a line holds, `decision` says: of that the same is canonical, member by member."""
        record = RequestRecord(
            "", "", "", 0.0, status=status, key_id=key_id, route=route, upstream=upstream, release=release,
            revision=revision, code=code,
        )  # fmt: skip
        line = {**self.decision(0.0, model, record), "previous": "", "seq": 0}
        members = []
        for name, value in sorted(line.items()):
            said = _FILLED.get(name) or canonical({name: value})[len(name) + 4 : -1].replace(b"%", b"%%")
            members.append(b'"%b":%b' % (name.encode(), said))
        return b"{%b}" % b",".join(members)

    def decision(self, at: float, model: str, record: RequestRecord) -> dict[str, Any]:
        principal = self._principal(record.key_id) if record.key_id else None
        return {
            "kind": "decision",
            "time": timestamp(at),
            "request_id": _clean_id(record.request_id),
            "trace_id": record.trace_id,
            "principal": principal,
            "decision": "refused" if record.code else "allowed",
            "policy": record.code or f"key:{principal}",
            "model": _clean(model) or None,
            "route": record.route or None,
            "upstream": record.upstream or None,
            "release": record.release or None,
            "revision": record.revision or None,
            "status": record.status,
            "prompt_tokens": record.prompt_tokens,
            "completion_tokens": record.completion_tokens,
        }

    def _principal_of(self, key_id: str) -> str:
        """Ids are few and easily guessed: without the salt nobody finds out by trying whose lines these are."""
        return hmac.new(self._salt, key_id.encode(), hashlib.sha256).hexdigest()[:16]


def _clean_id(text: str) -> str:
    """Ids that we have made hold nothing: 32 digits are no number of a card, a phone or an account."""
    return text if _MADE.fullmatch(text) else _clean(text)


@lru_cache(4096)  # models are few; what else a client writes is forgotten
def _clean(text: str) -> str:
    """Masked, and without half characters, which JSON can say and no reader takes."""
    return masked(text.encode(errors="replace").decode())
