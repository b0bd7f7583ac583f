from nexus_native.plain_json cimport PlainUsage

cdef extern from "plain_frame.h" nogil:
    ctypedef enum FrameKind:
        FRAME_PART
        FRAME_ODD
        FRAME_EVENTS
        FRAME_LAST

    ctypedef enum EventKind:
        EVENT_ODD
        EVENT_OBJECT
        EVENT_DONE

    ctypedef struct PlainFrame:
        Py_ssize_t whole
        const char* payload
        Py_ssize_t size

    FrameKind read_frame(const char* data, Py_ssize_t length, PlainFrame* frame) noexcept
    EventKind read_event(const char* event, Py_ssize_t size, Py_ssize_t* length) noexcept
    bint is_good_beginning(const char* event, Py_ssize_t size) noexcept
    bint tells_no_usage(const char* event, Py_ssize_t size) noexcept
    bint read_event_usage(const char* event, Py_ssize_t size, PlainUsage* usage) noexcept
