"""What can be wrong.

ClientError
├── BadQuestion    nothing was sent: what was asked can never be; names the field, the value and the mend
├── Unreachable    no answer came, however often it was tried; the gateway may have called an engine
├── Refused        the gateway said no, by a status and a code of docs/reference/errors.md
└── BrokenOff      a stream ended before its end; what came before is not all of the answer
"""

from __future__ import annotations

from nexus_client.answers import Provenance


class ClientError(Exception):
    """Whatever keeps an answer from coming."""


class BadQuestion(ClientError, ValueError):
    def __init__(self, field: str, value: object, mend: str) -> None:
        shown = ascii(value)
        super().__init__(f"{field}: {shown if len(shown) <= 200 else shown[:197] + '...'} is refused: {mend}")
        self.field, self.value, self.mend = field, value, mend


class Unreachable(ClientError):
    def __init__(self, url: str, reason: str, tries: int) -> None:
        super().__init__(f"{url}: {reason} ({tries} {'try' if tries == 1 else 'tries'})")
        self.url, self.tries = url, tries


class Refused(ClientError):
    def __init__(self, status: int, code: str, message: str, param: str | None, provenance: Provenance) -> None:
        """`code` is empty where something else than a gateway has answered."""
        super().__init__(f"{status} {code}: {message}" if code else f"{status}: {message}")
        self.status, self.code, self.param, self.provenance = status, code, param, provenance


class BrokenOff(ClientError):
    def __init__(self, reason: str, text: str, provenance: Provenance) -> None:
        """`text` is what came before."""
        super().__init__(reason)
        self.text, self.provenance = text, provenance
