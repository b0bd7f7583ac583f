"""From a token's bytes to what its issuer says of the bearer."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import HMACAlgorithm, RSAAlgorithm

from nexus_gateway.exchange import Waiter
from nexus_gateway.tokens.bad_token import BadToken
from nexus_gateway.tokens.claims import Claims, read_claims
from nexus_gateway.tokens.compact import Compact, read_compact
from nexus_gateway.tokens.jwks import Jwks
from nexus_gateway.tokens.settings import HS256, RS256, TokenSettings

REMEMBERED_SECONDS = 60.0
MOST_REMEMBERED = 10_000

_HMAC = HMACAlgorithm(HMACAlgorithm.SHA256)
_RSA = RSAAlgorithm(RSAAlgorithm.SHA256)


class TokenVerifier:
    """Closed: any fault in here is a BadToken. `clock` gives seconds since 1970."""

    def __init__(self, settings: TokenSettings, jwks: Jwks | None, clock: Callable[[], float] = time.time) -> None:
        self._settings, self._jwks, self._clock = settings, jwks, clock
        self._keys = [key for key in (settings.secret, settings.public_key) if key is not None]
        self._verified = _Verified()

    def verify(self, token: bytes) -> Waiter[Claims]:
        """Settled at once, unless the token names a key that one fetch may bring. Fails with BadToken."""
        answer: Waiter[Claims] = Waiter()
        _settle(answer, lambda: self._known(token, answer))
        return answer

    def _known(self, token: bytes, answer: Waiter[Claims]) -> Claims | None:
        """None where the answer comes later."""
        name = hashlib.sha256(token).digest()
        claims = self._verified.get(name, self._revision(), self._clock())
        return claims or self._signed_by_ours(read_compact(token), name, answer)

    def _signed_by_ours(self, compact: Compact, name: bytes, answer: Waiter[Claims]) -> Claims | None:
        if any(_signed_by(key, compact) for key in self._keys):
            return self._taken(compact, name)
        if self._jwks is None or compact.algorithm != RS256 or compact.kid is None:
            raise BadToken("signed by no key of ours")
        read_claims(compact.payload, self._settings, self._clock())  # what is refused anyway shall cause no fetch
        found = self._jwks.find(compact.kid)
        found.then(lambda: _settle(answer, lambda: self._signed_by_issuer(found.value, compact, name)))
        return None

    def _signed_by_issuer(self, key: RSAPublicKey | None, compact: Compact, name: bytes) -> Claims:
        if key is None or not _signed_by(key, compact):
            raise BadToken("signed by no key of the issuer")
        return self._taken(compact, name)

    def _taken(self, compact: Compact, name: bytes) -> Claims:
        now = self._clock()
        claims = read_claims(compact.payload, self._settings, now)
        self._verified.put(name, claims, self._revision(), min(claims.expires, now + REMEMBERED_SECONDS))
        return claims

    def _revision(self) -> int:
        return self._jwks.revision if self._jwks is not None else 0


class _Verified:
    """What was verified lately, by the SHA-256 of the whole token. Keys that change end all of it."""

    def __init__(self) -> None:
        self._entries: OrderedDict[bytes, tuple[Claims, int, float]] = OrderedDict()

    def get(self, name: bytes, revision: int, now: float) -> Claims | None:
        entry = self._entries.get(name)
        if entry is None:
            return None
        claims, of_revision, until = entry
        if of_revision != revision or until <= now:
            del self._entries[name]
            return None
        self._entries.move_to_end(name)
        return claims

    def put(self, name: bytes, claims: Claims, revision: int, until: float) -> None:
        self._entries[name] = (claims, revision, until)
        self._entries.move_to_end(name)
        if len(self._entries) > MOST_REMEMBERED:
            self._entries.popitem(last=False)


def _signed_by(key: bytes | RSAPublicKey, compact: Compact) -> bool:
    """The kind of the key says the algorithm; the token may only agree."""
    if isinstance(key, bytes):
        return compact.algorithm == HS256 and _HMAC.verify(compact.signed, key, compact.signature)
    return compact.algorithm == RS256 and _RSA.verify(compact.signed, key, compact.signature)


def _settle(answer: Waiter[Claims], find: Callable[[], Claims | None]) -> None:
    """The refusal is made anew, since what caused it may hold some of the token."""
    reason = ""
    claims: Claims | None = None
    try:
        claims = find()
    except BadToken as error:
        reason = str(error)
    except Exception:
        reason = "cannot be read"
    if reason:
        answer.fail(BadToken(reason))
    elif claims is not None:
        answer.give(claims)
