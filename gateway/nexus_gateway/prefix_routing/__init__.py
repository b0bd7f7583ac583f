"""Which of several endpoints of a model is asked, so that a prompt meets the cache that knows its beginning: bounded
rendezvous hashing in two steps, without state that gateways would have to share.

    keys = keys_of(prompt)                               # keys.py: group and conversation, two numbers
    width = widths.of(keys.group, ...)                   # width.py: how much of its order a group may use
    scores = evenness.scores(keys.group, ...)            # evenness.py: as many groups for each endpoint
    dealt = given.to(seeds, now)                         # dealt.py: for a new conversation, where that is known
    choice = choose(keys, tokens, places, width, parameters)   # choice.py

No function here reads a clock, draws by chance or does I/O: time and load are given, so that the benchmark drives the
very same code. `load.py` makes one figure of a scrape (`figures.py` reads it) and of our own calls since, `learned.py`
of what engines say of their caches, `prompt.py` finds a prompt's beginning in a body. The gateway itself is in
`placing/`."""
