/* The fields of a request's body that decide, where asked.py would find the same and nothing to refuse. */
#ifndef NEXUS_PLAIN_ASKED_H
#define NEXUS_PLAIN_ASKED_H

#include "plain_json.h"

typedef struct {
    const char *model; /* within the body, without quotes; it has no escapes */
    ptrdiff_t model_length;
    int stream;
    long long max_tokens, max_completion_tokens, max_output_tokens, n, best_of; /* -1: absent, or null */
    int many_prompts; /* whether `prompt` is an array: of texts or of tokens */
} PlainAsked;

enum { LONGEST_MODEL = 128, MOST_TOKENS_BITS = 31, MOST_ANSWERS_BITS = 16 }; /* as in asked.py */

typedef enum {
    ASKED_MODEL, ASKED_STREAM, ASKED_MAX_TOKENS, ASKED_MAX_COMPLETION_TOKENS, ASKED_MAX_OUTPUT_TOKENS, ASKED_N,
    ASKED_BEST_OF, ASKED_PROMPT, ASKED_USER, ASKED_STORE, ASKED_PREVIOUS_RESPONSE_ID, ASKED_CACHE_SALT,
    ASKED_KV_TRANSFER_PARAMS, ASKED_EC_TRANSFER_PARAMS, ASKED_VLLM_XARGS, ASKED_NOTHING, ASKED_ODDLY
} AskedField;

typedef struct {
    PlainAsked *asked;
    unsigned int seen; /* a bit for each field */
} AskedReader;

#define ASKED_NAME(word) {word, sizeof(word) - 1}
static const struct {
    const char *word;
    size_t length;
} ASKED_NAMES[ASKED_NOTHING] = {
    ASKED_NAME("model"), ASKED_NAME("stream"), ASKED_NAME("max_tokens"), ASKED_NAME("max_completion_tokens"),
    ASKED_NAME("max_output_tokens"), ASKED_NAME("n"), ASKED_NAME("best_of"), ASKED_NAME("prompt"), ASKED_NAME("user"),
    ASKED_NAME("store"), ASKED_NAME("previous_response_id"), ASKED_NAME("cache_salt"),
    ASKED_NAME("kv_transfer_params"), ASKED_NAME("ec_transfer_params"), ASKED_NAME("vllm_xargs"),
};
#undef ASKED_NAME

/* A name beyond ASCII is odd: there are letters whose small ones are ASCII's (U+212A, of `k`). */
static inline AskedField asked_field(Place name, size_t length)
{
    for (size_t number = 0; number < length; number++)
        if (name[number] >= 0x80)
            return ASKED_ODDLY;
    for (int field = 0; field < ASKED_NOTHING; field++)
        if (is_like(name, length, ASKED_NAMES[field].word, ASKED_NAMES[field].length))
            return memcmp(name, ASKED_NAMES[field].word, length) == 0 ? (AskedField)field : ASKED_ODDLY;
    return ASKED_NOTHING;
}

static inline Place past_model(Place at, Place end, PlainAsked *asked)
{
    if (*at != '"')
        return NULL;
    Place start = at + 1;
    for (at = start; at < end && *at != '"'; at++)
        if (*at < ' ' || *at > '~' || *at == '\\' || at - start == LONGEST_MODEL)
            return NULL;
    if (at == end || at == start)
        return NULL;
    asked->model = (const char *)start;
    asked->model_length = at - start;
    return at + 1;
}

static inline Place past_bound(Place at, Place end, int bits, long long *bound)
{
    return *at == 'n' ? past_word(at, end, "null", 4) : past_count(at, end, 1LL << bits, bound);
}

static inline Place past_stream(Place at, Place end, PlainAsked *asked)
{
    asked->stream = *at == 't';
    return asked->stream ? past_word(at, end, "true", 4) : past_word(at, end, "false", 5);
}

static inline Place past_asked(Place name, size_t length, Place at, Place end, int depth, void *into)
{
    AskedReader *reader = into;
    PlainAsked *asked = reader->asked;
    AskedField field = asked_field(name, length);
    if (field == ASKED_NOTHING)
        return past_value(at, end, depth);
    if (field == ASKED_ODDLY || reader->seen & 1u << field)
        return NULL;
    reader->seen |= 1u << field;
    switch (field) {
    case ASKED_MODEL:
        return past_model(at, end, asked);
    case ASKED_STREAM:
        return past_stream(at, end, asked);
    case ASKED_MAX_TOKENS:
        return past_bound(at, end, MOST_TOKENS_BITS, &asked->max_tokens);
    case ASKED_MAX_COMPLETION_TOKENS:
        return past_bound(at, end, MOST_TOKENS_BITS, &asked->max_completion_tokens);
    case ASKED_MAX_OUTPUT_TOKENS:
        return past_bound(at, end, MOST_TOKENS_BITS, &asked->max_output_tokens);
    case ASKED_N:
        return past_bound(at, end, MOST_ANSWERS_BITS, &asked->n);
    case ASKED_BEST_OF:
        return past_bound(at, end, MOST_ANSWERS_BITS, &asked->best_of);
    case ASKED_PROMPT:
        asked->many_prompts = *at == '[';
        return past_value(at, end, depth);
    case ASKED_USER:
        return *at == '"' ? past_text(at + 1, end, 1) : NULL;
    default: /* what the engines keep of it, or keep apart: that is decided in Python */
        return NULL;
    }
}

/* Whether it is taken; only then is `asked` whole. */
static inline int read_asked(const char *body, ptrdiff_t length, PlainAsked *asked)
{
    AskedReader reader = {asked, 0};
    *asked = (PlainAsked){NULL, 0, 0, -1, -1, -1, -1, -1, 0};
    return is_object(body, length, past_asked, &reader) && asked->model != NULL;
}

#endif
