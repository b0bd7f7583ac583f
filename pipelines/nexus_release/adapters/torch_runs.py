"""How torch runs here: the same bytes for the same input, offline, and without its libraries' own progress."""

from __future__ import annotations

import os

THREADS = 1
"""A sum over another number of threads may round differently, and a machine may have one core: one is the same
everywhere. It is also never slowed by neighbours, as threads are that wait for each other on a busy machine."""


def prepare(seed: int) -> None:
    """For this process, before a model is made. Its default is one float type and one order of every sum."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads and a later fork do not go together
    import torch
    import transformers

    torch.manual_seed(seed)
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
