/* The head of a plain answer of status 200, where upstreams/plain_answer.py would find the same: of one with its length
   that is `straight` there, or of one in frames. */
#ifndef NEXUS_PLAIN_HEAD_H
#define NEXUS_PLAIN_HEAD_H

#include "plain_bytes.h"

typedef struct {
    ptrdiff_t head; /* bytes, the empty line included */
    long long length; /* bytes of the body */
    int keeps; /* whether the connection stays open behind it */
    int framed; /* whether the body comes in frames (chunked), and has no length */
} PlainHead;

enum { LARGEST_PLAIN_HEAD = 8 << 10, MOST_HEADERS = 100, MOST_LENGTH_DIGITS = 9 }; /* as in plain_answer.py */

#define IS_NAME(word) is_like(name, length, word, sizeof(word) - 1)
#define IS_VALUE(word) is_like(value, size, word, sizeof(word) - 1)
#define BEGINNING "HTTP/1.1 200 "

static inline int is_of_a_name(unsigned char byte)
{
    if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z')
        return 1;
    return is_digit(byte) || (byte != 0 && strchr("-!#$%&'*+.^_`|~", byte) != NULL);
}

/* To the CR behind it; NULL where a byte stands in it that no line has. */
static inline Place past_line(Place at, Place end)
{
    while (at < end && ((*at >= ' ' && *at != 0x7f) || *at == '\t'))
        at++;
    return end - at >= 2 && at[0] == '\r' && at[1] == '\n' ? at : NULL;
}

/* Whether a header lets the answer stay plain; what it says of the body and of the connection is kept. */
static inline int is_plain_header(Place name, size_t length, Place value, size_t size, PlainHead *found)
{
    if (IS_NAME("content-length")) {
        if (found->length >= 0 || size > MOST_LENGTH_DIGITS)
            return 0;
        return past_number(value, value + size, MOST_LENGTH_DIGITS, &found->length) == value + size;
    }
    if (IS_NAME("connection")) {
        if (found->keeps >= 0)
            return 0;
        found->keeps = !IS_VALUE("close");
        return !found->keeps || size == 0 || IS_VALUE("keep-alive");
    }
    if (IS_NAME("content-encoding"))
        return size == 0 || (size == 8 && memcmp(value, "identity", 8) == 0);
    if (IS_NAME("transfer-encoding"))
        return !found->framed++ && size == 7 && memcmp(value, "chunked", 7) == 0;
    return !(IS_NAME("upgrade") || IS_NAME("trailer") || IS_NAME("keep-alive")
             || IS_NAME("proxy-connection"));
}

/* One line, to behind its CRLF. Nothing is folded, and no blank stands before the colon or at its end. */
static inline Place past_header(Place at, Place end, PlainHead *found)
{
    Place name = at;
    while (at < end && is_of_a_name(*at))
        at++;
    size_t length = (size_t)(at - name);
    if (length == 0 || at == end || *at != ':')
        return NULL;
    at++;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    Place value = at;
    if ((at = past_line(at, end)) == NULL || (at > value && (at[-1] == ' ' || at[-1] == '\t')))
        return NULL;
    return is_plain_header(name, length, value, (size_t)(at - value), found) ? at + 2 : NULL;
}

/* Whether it is taken; only then is `found` whole. */
static inline int read_any_head(const char *data, ptrdiff_t length, PlainHead *found)
{
    Place start = (Place)data, at = start + sizeof(BEGINNING) - 1;
    Place end = start + (length < LARGEST_PLAIN_HEAD ? length : LARGEST_PLAIN_HEAD);
    *found = (PlainHead){0, -1, -1, 0};
    if (length < (ptrdiff_t)sizeof(BEGINNING) - 1 || memcmp(data, BEGINNING, sizeof(BEGINNING) - 1) != 0)
        return 0;
    while (at < end && *at >= ' ' && *at <= '~')
        at++;
    if (end - at < 2 || at[0] != '\r' || at[1] != '\n')
        return 0;
    at += 2;
    for (int number = 0; number <= MOST_HEADERS; number++) {
        if (end - at >= 2 && at[0] == '\r' && at[1] == '\n') {
            found->head = at + 2 - start;
            found->keeps = found->keeps != 0;
            return found->framed ? found->length < 0 : found->length >= 0;
        }
        if ((at = past_header(at, end, found)) == NULL)
            return 0;
    }
    return 0;
}

/* Of an answer with its length. */
static inline int read_answer_head(const char *data, ptrdiff_t length, PlainHead *found)
{
    return read_any_head(data, length, found) && !found->framed;
}

/* Of an answer in frames. */
static inline int read_stream_head(const char *data, ptrdiff_t length, PlainHead *found)
{
    return read_any_head(data, length, found) && found->framed;
}

#undef IS_NAME
#undef IS_VALUE
#undef BEGINNING

#endif
