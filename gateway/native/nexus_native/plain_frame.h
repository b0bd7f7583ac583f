/* Frames of a body that comes in such (chunked), each with one event of a stream (SSE), as engines nearly always send
   them: what upstreams/frames.py and stream.py would find in the same bytes. */
#ifndef NEXUS_PLAIN_FRAME_H
#define NEXUS_PLAIN_FRAME_H

#include "plain_usage.h"

typedef enum {
    FRAME_PART, /* more has to come */
    FRAME_ODD, /* anything but what follows */
    FRAME_EVENTS, /* a frame with something in it */
    FRAME_LAST /* the empty frame that ends the body */
} FrameKind;

typedef struct {
    ptrdiff_t whole; /* bytes of the frame */
    const char *payload;
    ptrdiff_t size;
} PlainFrame;

typedef enum {
    EVENT_ODD, /* anything but what follows */
    EVENT_OBJECT, /* one line of data, which is an object by its ends */
    EVENT_DONE /* the mark behind the last event */
} EventKind;

enum { MOST_SIZE_DIGITS = 8 }; /* as in upstreams/plain_answer.py */

#define DATA "data: "
#define DONE DATA "[DONE]\n\n"

/* Bytes of the size's digits; 0 where it has none, or more than one way to be written. */
static inline int size_digits(const char *data, ptrdiff_t length, ptrdiff_t *size)
{
    int digits = 0, small = 0, large = 0;
    *size = 0;
    for (; digits < length && digits <= MOST_SIZE_DIGITS; digits++) {
        unsigned char digit = (unsigned char)data[digits];
        if (is_digit(digit))
            *size = *size * 16 + digit - '0';
        else if (digit >= 'a' && digit <= 'f')
            *size = *size * 16 + digit - 'a' + 10, small = 1;
        else if (digit >= 'A' && digit <= 'F')
            *size = *size * 16 + digit - 'A' + 10, large = 1;
        else
            break;
    }
    return digits > MOST_SIZE_DIGITS || (small && large) || (data[0] == '0' && digits > 1) ? 0 : digits;
}

/* What the first event among `size` bytes is; `length` of them are its. */
static inline EventKind read_event(const char *event, ptrdiff_t size, ptrdiff_t *length)
{
    const char *end = memchr(event, '\n', (size_t)size);
    if (end == NULL || end + 1 == event + size || end[1] != '\n')
        return EVENT_ODD;
    *length = end + 2 - event;
    if (*length == sizeof(DONE) - 1 && memcmp(event, DONE, sizeof(DONE) - 1) == 0)
        return EVENT_DONE;
    if (*length < (ptrdiff_t)sizeof(DATA) + 3 || memcmp(event, DATA "{", sizeof(DATA)) != 0 || end[-1] != '}')
        return EVENT_ODD;
    return memchr(event, '\r', (size_t)*length) == NULL ? EVENT_OBJECT : EVENT_ODD;
}

/* What begins here. */
static inline FrameKind read_frame(const char *data, ptrdiff_t length, PlainFrame *frame)
{
    ptrdiff_t size;
    int digits = length > 0 ? size_digits(data, length, &size) : 0;
    if (length == 0 || (digits == length && digits <= MOST_SIZE_DIGITS && digits > 0))
        return FRAME_PART;
    if (digits == 0 || data[digits] != '\r')
        return FRAME_ODD;
    frame->whole = digits + size + 4, frame->payload = data + digits + 2, frame->size = size;
    if (frame->whole > length)
        return length > digits + 1 && data[digits + 1] != '\n' ? FRAME_ODD : FRAME_PART;
    if (data[digits + 1] != '\n' || memcmp(data + frame->whole - 2, "\r\n", 2) != 0)
        return FRAME_ODD;
    return size == 0 ? FRAME_LAST : FRAME_EVENTS;
}

static inline Place past_first_member(Place name, size_t length, Place at, Place end, int depth, void *into)
{
    static const char *const told[] = {"error", "type", "response", "message"};
    (void)into;
    for (size_t number = 0; number < sizeof(told) / sizeof(*told); number++)
        if (length == strlen(told[number]) && memcmp(name, told[number], length) == 0)
            return NULL;
    if (length == 5 && memcmp(name, "usage", 5) == 0)
        return past_word(at, end, "null", 4);
    return past_value(at, end, depth);
}

/* Whether a stream may begin with it: an object that tells of no error, and of no usage. */
static inline int is_good_beginning(const char *event, ptrdiff_t size)
{
    return is_object(event + sizeof(DATA) - 1, size - (ptrdiff_t)sizeof(DATA) - 1, past_first_member, NULL);
}

/* Of an event: by its type it may tell of a fault. */
static inline Place past_told(Place name, size_t length, Place at, Place end, int depth, void *into)
{
    return length == 4 && memcmp(name, "type", 4) == 0 ? NULL : past_answered(name, length, at, end, depth, into);
}

/* The usage that an event tells. */
static inline int read_event_usage(const char *event, ptrdiff_t size, PlainUsage *usage)
{
    return read_usage_by(event + sizeof(DATA) - 1, size - (ptrdiff_t)sizeof(DATA) - 1, past_told, usage);
}

/* Whether usage is null wherever an event names it. */
static inline int tells_no_usage(const char *event, ptrdiff_t size)
{
    const char *end = event + size;
    for (const char *at = event; (at = memmem(at, (size_t)(end - at), "\"usage\"", 7)) != NULL;) {
        at += 7;
        if (!((end - at >= 5 && memcmp(at, ":null", 5) == 0) || (end - at >= 6 && memcmp(at, ": null", 6) == 0)))
            return 0;
    }
    return 1;
}

#undef DATA
#undef DONE

#endif
