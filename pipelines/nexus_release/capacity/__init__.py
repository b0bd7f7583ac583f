"""Whether a model fits where it is to run: pure functions of its shape, its scheme and the environment's settings."""
