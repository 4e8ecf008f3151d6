# A lock of one word, for code that holds it for less than a microsecond (lock.h says how).

cdef extern from "lock.h" nogil:
    ctypedef struct striate_word_lock:     # all zero: free
        pass
    int striate_try_lock(striate_word_lock *lock)
    void striate_take_lock(striate_word_lock *lock)
    void striate_give_lock(striate_word_lock *lock)
