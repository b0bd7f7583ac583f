/* JSON (RFC 8259) in which nothing is odd, walked once, without a document of it. Whatever is taken here is taken by
   msgspec and by Python's json, and is read by both in the same way; what is not taken may be sound all the same. */
#ifndef NEXUS_PLAIN_JSON_H
#define NEXUS_PLAIN_JSON_H

#include "plain_bytes.h"

enum {
    PLAIN_DEEPEST = 32, /* of nested arrays and objects; asked.py takes 64 */
    PLAIN_NUMBER = 64   /* bytes of a number; Python refuses integers of thousands */
};

/* Takes a value, which begins at `at`, before `end`, by the name that it has in its object. `depth`: of that object. */
typedef Place (*TakeMember)(Place name, size_t length, Place at, Place end, int depth, void *into);

static Place past_value(Place at, Place end, int depth);

static inline Place past_blanks(Place at, Place end)
{
    while (at < end && *at <= ' ' && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

/* The first byte that ends a text, or that has to be looked at in one: a quote, a backslash, a control character, or a
   part of a letter beyond ASCII. */
static inline Place past_usual(Place at, Place end)
{
#ifdef __SSE2__
    while (end - at >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)at);
        __m128i unusual = _mm_cmplt_epi8(bytes, _mm_set1_epi8(' ')); /* bytes from 0x80 on are below zero */
        unusual = _mm_or_si128(unusual, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')));
        unusual = _mm_or_si128(unusual, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
        int found = _mm_movemask_epi8(unusual);
        if (found)
            return at + __builtin_ctz((unsigned int)found);
        at += 16;
    }
#endif
    while (at < end && *at >= ' ' && *at < 0x80 && *at != '"' && *at != '\\')
        at++;
    return at;
}

/* Letters beyond ASCII, in UTF-8 as Python's strict decoder takes it (Unicode's table 3-7). */
static inline Place past_letters(Place at, Place end)
{
    while (at < end && *at >= 0x80) {
        unsigned char first = *at, least = 0x80, most = 0xbf;
        int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || end - at <= more)
            return NULL;
        if (first == 0xe0)
            least = 0xa0;
        else if (first == 0xed)
            most = 0x9f; /* surrogates */
        else if (first == 0xf0)
            least = 0x90;
        else if (first == 0xf4)
            most = 0x8f;
        if (at[1] < least || at[1] > most)
            return NULL;
        for (int number = 2; number <= more; number++)
            if ((at[number] & 0xc0) != 0x80)
                return NULL;
        at += more + 1;
    }
    return at;
}

/* Four hex digits, which are there; -1 where they are none. */
static inline int utf16_unit(Place at)
{
    int unit = 0;
    for (int number = 0; number < 4; number++) {
        unsigned char byte = at[number], small = byte | 0x20;
        if (is_digit(byte))
            unit = unit * 16 + byte - '0';
        else if (small >= 'a' && small <= 'f')
            unit = unit * 16 + small - 'a' + 10;
        else
            return -1;
    }
    return unit;
}

/* From behind `\u` on. Of a pair of surrogates both are read; one alone is no letter. */
static inline Place past_unicode_escape(Place at, Place end)
{
    if (end - at < 4)
        return NULL;
    int unit = utf16_unit(at);
    at += 4;
    if (unit < 0)
        return NULL;
    if (unit < 0xd800 || unit > 0xdfff)
        return at;
    if (unit >= 0xdc00 || end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return NULL;
    unit = utf16_unit(at + 2);
    return unit >= 0xdc00 && unit <= 0xdfff ? at + 6 : NULL;
}

/* From behind the backslash on. */
static inline Place past_escape(Place at, Place end)
{
    if (at == end)
        return NULL;
    switch (*at) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        return at + 1;
    case 'u':
        return past_unicode_escape(at + 1, end);
    default:
        return NULL;
    }
}

/* From behind the opening quote to behind the closing one. */
static inline Place past_text(Place at, Place end, int may_escape)
{
    for (;;) {
        at = past_usual(at, end);
        if (at == end)
            return NULL;
        if (*at == '"')
            return at + 1;
        if (*at >= 0x80)
            at = past_letters(at, end);
        else if (*at == '\\' && may_escape)
            at = past_escape(at + 1, end);
        else
            return NULL;
        if (at == NULL)
            return NULL;
    }
}

static inline Place past_digits(Place at, Place end)
{
    Place start = at;
#ifdef __SSE2__
    while (end - at >= 16) {
        __m128i values = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)at), _mm_set1_epi8('0'));
        __m128i digits = _mm_cmpeq_epi8(_mm_min_epu8(values, _mm_set1_epi8(9)), values);
        unsigned int others = ~(unsigned int)_mm_movemask_epi8(digits) & 0xffff;
        if (others) {
            at += __builtin_ctz(others);
            return at > start ? at : NULL;
        }
        at += 16;
    }
#endif
    while (at < end && is_digit(*at))
        at++;
    return at > start ? at : NULL;
}

static inline Place past_any_number(Place at, Place end)
{
    Place start = at;
    if (*at == '-')
        at++;
    if (at < end && *at == '0')
        at++;
    else if ((at = past_digits(at, end)) == NULL)
        return NULL;
    if (at < end && *at == '.' && (at = past_digits(at + 1, end)) == NULL)
        return NULL;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        if ((at = past_digits(at, end)) == NULL)
            return NULL;
    }
    return at - start <= PLAIN_NUMBER ? at : NULL;
}

static inline Place past_word(Place at, Place end, const char *word, size_t size)
{
    return (size_t)(end - at) >= size && memcmp(at, word, size) == 0 ? at + size : NULL;
}

/* An integer from 0 to `most`, which has at most 18 digits. */
static inline Place past_count(Place at, Place end, long long most, long long *count)
{
    Place start = at;
    at = past_number(at, end, 18, count);
    if (at == NULL || *count > most || (*start == '0' && at - start > 1))
        return NULL;
    return at;
}

/* From behind `{` to behind `}`. Names have no escapes, so each is what it looks like. */
static inline __attribute__((always_inline)) Place past_members(Place at, Place end, int depth, TakeMember take,
                                                                void *into)
{
    at = past_blanks(at, end);
    if (at < end && *at == '}')
        return at + 1;
    for (;;) {
        if (at == end || *at != '"')
            return NULL;
        Place name = at + 1;
        if ((at = past_text(name, end, 0)) == NULL)
            return NULL;
        size_t length = (size_t)(at - 1 - name);
        at = past_blanks(at, end);
        if (at == end || *at != ':')
            return NULL;
        at = past_blanks(at + 1, end);
        if (at == end || (at = take(name, length, at, end, depth, into)) == NULL)
            return NULL;
        at = past_blanks(at, end);
        if (at < end && *at == '}')
            return at + 1;
        if (at == end || *at != ',')
            return NULL;
        at = past_blanks(at + 1, end);
    }
}

/* From behind `[` to behind `]`. */
static inline Place past_elements(Place at, Place end, int depth)
{
    at = past_blanks(at, end);
    if (at < end && *at == ']')
        return at + 1;
    for (;;) {
        if (at == end || (at = past_value(at, end, depth)) == NULL)
            return NULL;
        at = past_blanks(at, end);
        if (at < end && *at == ']')
            return at + 1;
        if (at == end || *at != ',')
            return NULL;
        at = past_blanks(at + 1, end);
    }
}

static inline Place past_member(Place name, size_t length, Place at, Place end, int depth, void *into)
{
    (void)name, (void)length, (void)into;
    return past_value(at, end, depth);
}

/* `at`: its first byte. `depth`: how many arrays and objects it stands in. */
static Place past_value(Place at, Place end, int depth)
{
    switch (*at) {
    case '"':
        return past_text(at + 1, end, 1);
    case '{':
        return depth < PLAIN_DEEPEST ? past_members(at + 1, end, depth + 1, past_member, NULL) : NULL;
    case '[':
        return depth < PLAIN_DEEPEST ? past_elements(at + 1, end, depth + 1) : NULL;
    case 't':
        return past_word(at, end, "true", 4);
    case 'f':
        return past_word(at, end, "false", 5);
    case 'n':
        return past_word(at, end, "null", 4);
    default:
        return past_any_number(at, end);
    }
}

/* Whether all of it is one object, of which `take` has taken every member. */
static inline __attribute__((always_inline)) int is_object(const char *body, ptrdiff_t length, TakeMember take,
                                                           void *into)
{
    Place at = (Place)body, end = at + length;
    at = past_blanks(at, end);
    if (at == end || *at != '{')
        return 0;
    at = past_members(at + 1, end, 1, take, into);
    return at != NULL && past_blanks(at, end) == end;
}

#endif
