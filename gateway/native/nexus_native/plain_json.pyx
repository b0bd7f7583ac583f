"""The three readers of what is plain, for who calls them from Python; what they say is written in their headers.

Each answers None where it does not take what it is given. Then nothing is said of it: Python reads it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from nexus_native.plain_json cimport PlainAsked, PlainHead, PlainUsage, read_answer_head, read_asked, read_usage


def asked(bytes body not None):
    """(model, stream, max_tokens, max_completion_tokens, max_output_tokens, n, best_of, whether there may be several
    prompts); -1 where a number is not given."""
    cdef PlainAsked found
    if not read_asked(PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), &found):
        return None
    model = found.model[:found.model_length].decode("ascii")
    return (
        model, found.stream, found.max_tokens, found.max_completion_tokens, found.max_output_tokens, found.n,
        found.best_of, found.many_prompts,
    )


def usage(bytes body not None):
    """Tokens of the prompt, of the completion, and those of the prompt that came from a cache."""
    cdef PlainUsage found
    if not read_usage(PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), &found):
        return None
    return found.prompt, found.completion, found.cached


def answer_head(bytes data not None):
    """(bytes of the head, bytes of the body, whether the connection is kept)."""
    cdef PlainHead found
    if not read_answer_head(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), &found):
        return None
    return found.head, found.length, found.keeps
