"""Prompts are placed where their beginning is cached: what this process sees of endpoints, and the choices by that.
Which choice that is, `prefix_routing` says."""
