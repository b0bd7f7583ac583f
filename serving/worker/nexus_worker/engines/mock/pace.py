"""What the mock's work costs in time. Rates of 0 are without bound."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    ttft_seconds: float
    """Before each request's prefill, beside the others'."""
    prefill_rate: float
    """Uncached prompt tokens a second, of one request after the other."""
    stream_rate: float
    """Tokens a second of one stream."""
    total_rate: float
    """Tokens a second of all streams together, which share it alike."""

    def prefill_seconds(self, uncached: int) -> float:
        return uncached / self.prefill_rate if self.prefill_rate else 0.0

    def between_tokens(self, decoding: int) -> float:
        """Seconds, while as many streams decode."""
        alone = 1 / self.stream_rate if self.stream_rate else 0.0
        shared = decoding / self.total_rate if self.total_rate else 0.0
        return max(alone, shared)
