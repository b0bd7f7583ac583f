cdef extern from "plain_asked.h" nogil:
    ctypedef struct PlainAsked:
        const char* model
        Py_ssize_t model_length
        bint stream
        long long max_tokens, max_completion_tokens, max_output_tokens, n, best_of
        bint many_prompts

    bint read_asked(const char* body, Py_ssize_t length, PlainAsked* asked) noexcept

cdef extern from "plain_usage.h" nogil:
    ctypedef struct PlainUsage:
        long long prompt, completion, cached

    bint read_usage(const char* body, Py_ssize_t length, PlainUsage* usage) noexcept

cdef extern from "plain_head.h" nogil:
    ctypedef struct PlainHead:
        Py_ssize_t head
        long long length
        bint keeps

    bint read_answer_head(const char* data, Py_ssize_t length, PlainHead* found) noexcept
    bint read_stream_head(const char* data, Py_ssize_t length, PlainHead* found) noexcept
