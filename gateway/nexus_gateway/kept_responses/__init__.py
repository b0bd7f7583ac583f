"""Responses that an engine keeps for later: which of them has it, and whose it is."""
