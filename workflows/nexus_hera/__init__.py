"""What workflows/release_hera.py renders: the steps of `graph.py` as Argo Workflows runs them."""
