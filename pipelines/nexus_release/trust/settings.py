"""What an environment says of signatures."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from nexus_release.frozen import Section
from nexus_release.trust.keys import KeyPath


class SignatureSettings(Section):
    """Who must have signed a release before it is rendered, proposed or started here."""

    accept: Literal["trusted", "own", "unchecked"]
    """`trusted`: one of `keys`. `own`: the key that this machine has made for itself, for laptops. `unchecked`: nobody;
    only bytes are held against their digests."""
    keys: tuple[KeyPath, ...]
    """Public keys on P-256, P-384 or P-521 (PEM), by path under `environments/`; several while one takes another's
    place. Without one, `trusted` lets nothing in."""

    @model_validator(mode="after")
    def _named_where_they_count(self) -> SignatureSettings:
        if self.keys and self.accept != "trusted":
            raise ValueError(f"accept is {self.accept}, so keys count for nothing: take them away, or accept trusted")
        return self
