"""Checkpoints are looked at here before any library loads them: bytes and text only, nothing is executed."""
