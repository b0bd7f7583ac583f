# Whether a request has the head that went before it over the same connection: straight/heads.py in C.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcmp

cdef enum:
    MOST_DIGITS = 9  # of a length, as in plain_head.py
    LARGEST = 32 << 10  # bytes of a body: a larger one does not come at once
    OTHER = -1
    IN_PART = -2


cdef inline Py_ssize_t behind_head(bytes known, Py_ssize_t digits_at, const char* data, Py_ssize_t length) noexcept:
    # Bytes of the body of a request that is all there and has that head; IN_PART where some of the body is to come, and
    # OTHER where it is another.
    cdef const char* head = PyBytes_AS_STRING(known)
    cdef Py_ssize_t rest = PyBytes_GET_SIZE(known) - digits_at, place = digits_at
    cdef Py_ssize_t size = 0
    if length < place + rest or memcmp(data, head, place):
        return OTHER
    while place < length and 48 <= <unsigned char>data[place] <= 57:
        size = size * 10 + data[place] - 48
        place += 1
        if place - digits_at > MOST_DIGITS:
            return OTHER
    if place == digits_at or (data[digits_at] == 48 and place > digits_at + 1):
        return OTHER
    if length - place < rest or memcmp(data + place, head + digits_at, rest):
        return OTHER
    if size > LARGEST or length - place - rest > size:
        return OTHER
    return size if length - place - rest == size else IN_PART
