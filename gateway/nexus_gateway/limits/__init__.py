"""How much a caller may ask for in a minute, counted here or, for several gateways together, in Redis."""
