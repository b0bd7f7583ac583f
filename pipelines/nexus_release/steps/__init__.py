"""The steps of a release, one file each; `graph.py` says in which order they run."""
