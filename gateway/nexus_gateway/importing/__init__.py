"""Other gateways' configuration, turned into route files."""
