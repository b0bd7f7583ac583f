cdef enum Field:
    REQUEST_ID
    TRACE_ID
    SPAN_ID
    CALL_ID
    LENGTH
    NUMBER
    TIME
    MILLISECONDS
    FIRST_BYTE
    PROMPT
    COMPLETION
    CACHED
    LONGEST_GAP
    MOST_FIELDS

cdef enum:
    ID_DIGITS = 96
    MOST_NUMBERS = 6
    TIME_LENGTH = 24


# What is told of one request.
cdef struct Told:
    char ids[ID_DIGITS]
    long long length
    long long numbers[MOST_NUMBERS]
    char date[TIME_LENGTH]
    double milliseconds
    double first_byte
    double longest_gap
    long long prompt
    long long completion
    long long cached


cdef class Form:
    cdef tuple _pieces
    cdef int _fields[16]
    cdef int _count
    cdef readonly Py_ssize_t most

    cdef Py_ssize_t fill(self, char* room, const Told* told) noexcept


cdef int new_ids(char* room) except -1
cdef void write_time(char* room) noexcept
cdef double now() noexcept nogil
