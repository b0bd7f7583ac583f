/* What of a whole answer is counted, where straight/usage.py would find the same: the form of OpenAI's chat and
   completions, and no other one beside it. */
#ifndef NEXUS_PLAIN_USAGE_H
#define NEXUS_PLAIN_USAGE_H

#include "plain_json.h"

typedef struct {
    long long prompt, completion, cached;
} PlainUsage;

#define MOST_COUNTED ((1LL << 31) - 1)
#define IS_NAME(word) (length == sizeof(word) - 1 && memcmp(name, word, sizeof(word) - 1) == 0)

typedef struct {
    long long prompt, completion, cached; /* -1: not said yet */
    int usages, details;
} UsageReader;

static inline Place past_new_count(Place at, Place end, long long *count)
{
    return *count < 0 ? past_count(at, end, MOST_COUNTED, count) : NULL;
}

static inline Place past_detail(Place name, size_t length, Place at, Place end, int depth, void *into)
{
    UsageReader *reader = into;
    if (!IS_NAME("cached_tokens"))
        return past_value(at, end, depth);
    if (*at == 'n' && reader->cached < 0)
        return past_word(at, end, "null", 4);
    return past_new_count(at, end, &reader->cached);
}

static inline Place past_counted(Place name, size_t length, Place at, Place end, int depth, void *into)
{
    UsageReader *reader = into;
    if (IS_NAME("prompt_tokens"))
        return past_new_count(at, end, &reader->prompt);
    if (IS_NAME("completion_tokens"))
        return past_new_count(at, end, &reader->completion);
    if (IS_NAME("prompt_tokens_details")) {
        if (reader->details++)
            return NULL;
        return *at == '{' ? past_members(at + 1, end, depth + 1, past_detail, reader) : past_word(at, end, "null", 4);
    }
    if (IS_NAME("output_tokens") || IS_NAME("cache_read_input_tokens") || IS_NAME("input_tokens_details"))
        return NULL;
    return past_value(at, end, depth);
}

static inline Place past_answered(Place name, size_t length, Place at, Place end, int depth, void *into)
{
    UsageReader *reader = into;
    if (IS_NAME("usage"))
        return *at == '{' && !reader->usages++ ? past_members(at + 1, end, depth + 1, past_counted, reader) : NULL;
    if (IS_NAME("response") || IS_NAME("message"))
        return NULL;
    return past_value(at, end, depth);
}

#undef IS_NAME

/* Whether it is taken; only then is `usage` whole. `take`: of a member of the whole. */
static inline __attribute__((always_inline)) int read_usage_by(const char *body, ptrdiff_t length, TakeMember take,
                                                               PlainUsage *usage)
{
    UsageReader reader = {-1, -1, -1, 0, 0};
    if (!is_object(body, length, take, &reader) || reader.prompt < 0)
        return 0;
    usage->prompt = reader.prompt;
    usage->completion = reader.completion < 0 ? 0 : reader.completion;
    usage->cached = reader.cached < 0 ? 0 : reader.cached < reader.prompt ? reader.cached : reader.prompt;
    return 1;
}

static inline int read_usage(const char *body, ptrdiff_t length, PlainUsage *usage)
{
    return read_usage_by(body, length, past_answered, usage);
}

#endif
