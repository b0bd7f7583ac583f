"""Everything that touches the world, one file per system; only `wiring.py` imports from here."""
