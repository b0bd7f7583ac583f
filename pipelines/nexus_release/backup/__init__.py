"""Copies of everything that is state, taken together, and put back into empty places."""
