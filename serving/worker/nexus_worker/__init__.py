"""The CPU worker: an OpenAI server around CTranslate2, or around a mock."""
