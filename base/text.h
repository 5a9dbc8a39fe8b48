/*
 * Text that comes from a log, a checkpoint, a peer or a file's name, on its way to a person.
 *
 * A terminal obeys what it is shown: escape sequences retitle its window, hide lines and, in some, type for its user.
 * So whatever such text holds besides printable characters is shown as \xNN, byte by byte: control characters (C0, DEL,
 * and C1 in UTF-8 or as bare bytes), what is not UTF-8, line and paragraph separators, and the marks that turn the
 * direction of writing around and so make a text read as another. What was escaped stays as it is when it is escaped
 * again.
 */
#ifndef ENCORE_BASE_TEXT_H
#define ENCORE_BASE_TEXT_H

#include <stddef.h>
#include <stdio.h>

/* Writes the `length` bytes, escaped, into to[size] with a zero at its end; what does not fit is left out, a character
 * or an escape at a time. Returns the length of what was written. `size` is at least 1. */
size_t text_escape(const void *text, size_t length, char *to, size_t size);

/* Prints a string, escaped. */
void text_print(const char *text, FILE *stream);

#endif
