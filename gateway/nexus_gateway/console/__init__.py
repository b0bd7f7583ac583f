"""The console at `/`: a page without data of its own, and what it asks for by the key that it is given."""
