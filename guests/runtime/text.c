/* Strings, and a small printf; see text.h. */
#include "guests/runtime/text.h"

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
    void *start = to;
    /* The processor is slow here instruction by instruction; one REP MOVSB is the least of them. */
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
    return start;
}

void *memmove(void *to, const void *from, size_t length)
{
    if ((uintptr_t)to - (uintptr_t)from >= length)
        return memcpy(to, from, length);
    uint8_t *target = to;
    const uint8_t *source = from;
    while (length-- > 0)
        target[length] = source[length];
    return to;
}

void *memset(void *to, int byte, size_t length)
{
    void *start = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(length) : "a"(byte) : "memory");
    return start;
}

int memcmp(const void *a, const void *b, size_t length)
{
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < length; i++) {
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    }
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length])
        length++;
    return length;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (uint8_t)*a - (uint8_t)*b;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 16;
}

bool text_number(const char *text, size_t length, uint64_t *value)
{
    uint64_t base = 10;
    if (length > 2 && text[0] == '0' && text[1] == 'x') {
        base = 16;
        text += 2;
        length -= 2;
    }
    if (length == 0)
        return false;
    uint64_t sum = 0;
    for (size_t i = 0; i < length; i++) {
        uint64_t digit = (uint64_t)digit_value(text[i]);
        if (digit >= base || __builtin_mul_overflow(sum, base, &sum) || __builtin_add_overflow(sum, digit, &sum))
            return false;
    }
    *value = sum;
    return true;
}

void text_char(struct text *text, char c)
{
    if (text->length < text->capacity)
        text->data[text->length++] = c;
}

void text_bytes(struct text *text, const char *bytes, size_t length)
{
    size_t room = text->capacity - text->length;
    if (length > room)
        length = room;
    memcpy(text->data + text->length, bytes, length);
    text->length += length;
}

void text_string(struct text *text, const char *string)
{
    text_bytes(text, string, strlen(string));
}

void text_unsigned(struct text *text, uint64_t value, unsigned base, unsigned width)
{
    char digits[20]; /* 2^64 has 20 decimal digits */
    unsigned count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    for (unsigned i = count; i < width; i++)
        text_char(text, '0');
    while (count > 0)
        text_char(text, digits[--count]);
}

static void format_number(struct text *text, char kind, bool is_long, unsigned width, va_list *arguments)
{
    if (kind == 'd') {
        int64_t value = is_long ? va_arg(*arguments, int64_t) : va_arg(*arguments, int);
        if (value < 0)
            text_char(text, '-');
        text_unsigned(text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, width);
        return;
    }
    uint64_t value = is_long ? va_arg(*arguments, uint64_t) : va_arg(*arguments, unsigned);
    text_unsigned(text, value, kind == 'x' ? 16 : 10, width);
}

/* One conversion; `format` is just after the percent sign. Returns what follows the conversion. */
static const char *format_one(struct text *text, const char *format, va_list *arguments)
{
    unsigned width = 0;
    while (*format >= '0' && *format <= '9')
        width = width * 10 + (unsigned)(*format++ - '0');
    bool is_long = *format == 'l';
    if (is_long)
        format++;
    switch (*format) {
    case 's':
        text_string(text, va_arg(*arguments, const char *));
        break;
    case 'c':
        text_char(text, (char)va_arg(*arguments, int));
        break;
    case 'd':
    case 'u':
    case 'x':
        format_number(text, *format, is_long, width, arguments);
        break;
    default:
        text_char(text, *format);
        break;
    }
    return *format ? format + 1 : format;
}

void text_format(struct text *text, const char *format, va_list arguments)
{
    va_list rest;
    va_copy(rest, arguments);
    while (*format) {
        if (*format == '%')
            format = format_one(text, format + 1, &rest);
        else
            text_char(text, *format++);
    }
    va_end(rest);
}
