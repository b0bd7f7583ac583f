"""CycloneDX 1.6: what a model, and what an image, is made of. Without a clock and a serial number, so that the same
parts are the same bytes."""
