"""A client of the gateway: whole or streamed answers that say what made them, and retries that do not pay twice."""

from nexus_client.answers import Answer, Provenance, Usage
from nexus_client.async_client import AsyncClient, AsyncStream
from nexus_client.client import Client, Stream
from nexus_client.errors import BadQuestion, BrokenOff, ClientError, Refused, Unreachable
from nexus_client.retrying import Retries

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncStream",
    "BadQuestion",
    "BrokenOff",
    "Client",
    "ClientError",
    "Provenance",
    "Refused",
    "Retries",
    "Stream",
    "Unreachable",
    "Usage",
]
