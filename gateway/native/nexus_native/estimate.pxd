# How much a request counts for: before anybody knows limits/estimate.py in C, then `admission.release`.

from nexus_native.events cimport Events
from nexus_native.native_way cimport NativeWay
from nexus_native.plain_json cimport PlainAsked

cdef enum:
    BYTES_A_TOKEN = 4

cdef enum Bound:
    MAX_TOKENS = 1
    MAX_COMPLETION_TOKENS = 2
    MAX_OUTPUT_TOKENS = 4


cdef enum Many:
    N = 1
    BEST_OF = 2


cdef inline long long estimate(NativeWay way, const PlainAsked* asked, Py_ssize_t size) noexcept:
    # -1 where it needs more to know.
    cdef long long prompt = size // BYTES_A_TOKEN, longest = -1, answers = 1
    cdef double most
    if not way.bounds:
        return prompt
    if way.several_prompts and asked.many_prompts:
        return -1
    if way.bounds & MAX_TOKENS:
        longest = max(longest, asked.max_tokens)
    if way.bounds & MAX_COMPLETION_TOKENS:
        longest = max(longest, asked.max_completion_tokens)
    if way.bounds & MAX_OUTPUT_TOKENS:
        longest = max(longest, asked.max_output_tokens)
    if way.many & N:
        answers = max(answers, asked.n)
    if way.many & BEST_OF:
        answers = max(answers, asked.best_of)
    if longest >= 0:
        return prompt + longest * answers
    most = min(<double>(way.answer_tokens * answers), way.tokens_a_minute - prompt)
    return prompt + <long long>max(1.0, most)


cdef inline long long counted(
    NativeWay way, long long prompt, long long completion, long long cached, Py_ssize_t size, Events events
) noexcept:
    # Tokens that it takes of its caller's limit. `size`: bytes of its body. `events`: of a stream.
    if prompt + completion:
        return prompt + completion - <long long>(cached * way.percent_saved / 100.0)
    return size // BYTES_A_TOKEN + events.events if events is not None else 0
