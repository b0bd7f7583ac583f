/* Places among bytes that nothing ends but their number. A reader takes the place where it begins and the end of all,
   and gives the place behind what it has read, or NULL where that is not plain. */
#ifndef NEXUS_PLAIN_BYTES_H
#define NEXUS_PLAIN_BYTES_H

#include <stddef.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef const unsigned char *Place;

static inline int is_digit(unsigned char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Whether they are this word, which is written in small letters, in any case of ASCII's letters. */
static inline int is_like(Place at, size_t length, const char *word, size_t size)
{
    if (length != size)
        return 0;
    for (size_t number = 0; number < size; number++) {
        unsigned char byte = at[number];
        if (byte >= 'A' && byte <= 'Z')
            byte += 'a' - 'A';
        if (byte != (unsigned char)word[number])
            return 0;
    }
    return 1;
}

/* `digits`: how many a number may have at most, 18. What comes behind them is for the caller to look at. */
static inline Place past_number(Place at, Place end, int digits, long long *number)
{
    Place start = at;
    long long found = 0;
    while (at < end && at - start < digits && is_digit(*at))
        found = found * 10 + (*at++ - '0');
    *number = found;
    return at > start ? at : NULL;
}

#endif
