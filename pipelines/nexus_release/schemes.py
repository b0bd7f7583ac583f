"""The ways in which a checkpoint is made smaller."""

from __future__ import annotations

from typing import Literal

Scheme = Literal["FP8_DYNAMIC", "W8A8", "W4A16"]
"""By llm-compressor's names: 8-bit floats, 8-bit integers, and 4-bit integers for the weights alone."""
