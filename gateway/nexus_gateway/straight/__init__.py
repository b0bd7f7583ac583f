"""The straight way of a request about which nothing has to be chosen, awaited or changed.

Most requests are such: a known key, one engine, room in the limits. What the story (`proxy.py`)
decides of them is the same for all of one caller and model (`way.py`), and the rest is a walk from one socket to the
other, without a coroutine, a waiter, or an object for each stage.

It decides nothing of its own. Before the engine is called, whatever is not plain sends the request to the story from
its beginning, and nothing has been done by then. After that, whatever is not a whole answer of status 200 sends it to
the story where its call is heard (`proxy.go_on`). That both ways say the same is held by the tests of the two edges:
the ASGI edge knows this one not at all.
"""
