"""What becomes of what is asked of the placement memory: the labels of its metrics."""

from __future__ import annotations

from typing import Literal

Recall = Literal["found", "nothing", "late", "away"]
"""`late`: not within the time that a request waits; `away`: Redis is down, or left alone for having been late."""
Note = Literal["kept", "lost", "dropped"]
"""`lost`: Redis has not taken it; `dropped`: too many wait for that already."""
