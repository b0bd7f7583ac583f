"""The request: what turns a client's call into a streamed answer."""
