"""An engine without a model: the same request gets the same words, at the pace and with the faults that are asked for.

For tests, demos, load and routing: it costs nothing, and what a client measures is known beforehand.
"""
