"""Live traffic against that of the stable release's first days: how far it has moved, and when a release follows."""
