"""The release: what turns data and a base model into a pull request."""

__version__ = "0.1.0"
