"""Personal data and credentials: where texts have them, and what stands in their place."""
