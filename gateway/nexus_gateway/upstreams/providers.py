"""The hosted providers that `litellm://` takes: those whose only credential is a key that a request carries.

Others find credentials by themselves, in files, by metadata services or by a login, and would take what is not theirs.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    api_base: str
    """Where it is. We always say so ourselves, so that no library decides where a key goes."""
    sdk: bool = False
    """True where litellm speaks with it through the `openai` library, which then also makes embeddings."""


PROVIDERS = {
    "anthropic": Provider("https://api.anthropic.com"),
    "cerebras": Provider("https://api.cerebras.ai/v1", sdk=True),
    "deepinfra": Provider("https://api.deepinfra.com/v1/openai", sdk=True),
    "deepseek": Provider("https://api.deepseek.com/beta"),
    "fireworks_ai": Provider("https://api.fireworks.ai/inference/v1"),
    "gemini": Provider("https://generativelanguage.googleapis.com/v1beta"),
    "groq": Provider("https://api.groq.com/openai/v1"),
    "mistral": Provider("https://api.mistral.ai/v1"),
    "nvidia_nim": Provider("https://integrate.api.nvidia.com/v1", sdk=True),
    "openai": Provider("https://api.openai.com/v1", sdk=True),
    "openrouter": Provider("https://openrouter.ai/api/v1"),
    "perplexity": Provider("https://api.perplexity.ai", sdk=True),
    "together_ai": Provider("https://api.together.ai/v1"),
    "xai": Provider("https://api.x.ai/v1"),
}
"""By litellm's name."""
