/* Strings, and a small printf. */
#ifndef GUEST_RUNTIME_TEXT_H
#define GUEST_RUNTIME_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* These four the compiler itself may call. */
void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int byte, size_t length);
int memcmp(const void *a, const void *b, size_t length);

size_t strlen(const char *text);
int strcmp(const char *a, const char *b);

/* Decimal, or hexadecimal after "0x"; digits only, all of text[0..length). False when there is none, another character,
 * or a value beyond 64 bits. */
bool text_number(const char *text, size_t length, uint64_t *value);

/* Text being put together in a buffer of the caller's; what does not fit is dropped. */
struct text {
    char *data;
    size_t length;
    size_t capacity;
};

void text_char(struct text *text, char c);
void text_bytes(struct text *text, const char *bytes, size_t length);
void text_string(struct text *text, const char *string);
/* At least `width` digits, padded with zeros; base 10 or 16. */
void text_unsigned(struct text *text, uint64_t value, unsigned base, unsigned width);

/* %s %c %d %u %x %%, with l for 64 bits and 0 and a width for zero padding (%08x, %016lx). */
void text_format(struct text *text, const char *format, va_list arguments);

#endif
