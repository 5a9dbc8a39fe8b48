/*
 * Errors that are not ours: bad input and failing hosts.
 *
 * A function that can fail takes a struct error as its last argument and returns 0, or -1 with the error filled in.
 * Each layer may put its own words in front (error_wrap), so that the user reads one sentence from the general to the
 * particular: "run.enc: frame 12: checksum does not match".
 *
 * Such a sentence quotes paths, logs and peers. It is fit for a terminal from the start: what is not printable in it is
 * escaped (base/text.h).
 */
#ifndef ENCORE_BASE_ERROR_H
#define ENCORE_BASE_ERROR_H

enum error_kind {
    ERROR_NONE = 0,
    ERROR_HOST,     /* the host failed us: a system call, memory, a full disk */
    ERROR_INPUT,    /* what we were given is wrong: an option, an image, a log, a message */
    ERROR_DIVERGED, /* a replay did not do what its log says */
    ERROR_CUT,      /* a log breaks off, as when its writer was killed; what is before that was taken */
    ERROR_DAMAGED,  /* a log is damaged; what is before that was taken */
};

struct error {
    enum error_kind kind;
    char text[512]; /* one sentence, without a newline; cut, never overrun */
};

/* Fills in the error; returns -1, so that a caller can write "return error_set(...)". */
int error_set(struct error *error, enum error_kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* As error_set with ERROR_HOST, followed by ": " and the meaning of errno as it was on entry. Returns -1. */
int error_errno(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As error_errno, for a system call that takes a path: ERROR_INPUT where it is the path that is wrong (missing,
 * forbidden, too long, on a read-only file system) and not the host that fails. Returns -1. */
int error_path(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "<words>: " before the text already there. Returns -1. */
int error_wrap(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The process exit code by which a command reports an error of this kind (0 to 4). */
int error_exit_code(enum error_kind kind);

#endif
