/* Texts with holes for the round's number. */
#include <stdio.h>
#include <string.h>

#include "vmm/host/script_internal.h"

/* The decimal digits of a number and a NUL. */
#define NUMBER_TEXT 11

size_t script_text_room(const struct script_text *text, uint32_t rounds)
{
    char number[NUMBER_TEXT];

    return text->length + text->hole_count * (size_t)snprintf(number, sizeof number, "%u", rounds);
}

size_t script_text_render(const struct script_text *text, uint32_t round, uint8_t *to)
{
    char number[NUMBER_TEXT];
    size_t digits = (size_t)snprintf(number, sizeof number, "%u", round);
    size_t from = 0, length = 0;

    for (size_t i = 0; i < text->hole_count; i++) {
        size_t piece = text->holes[i] - from;
        memcpy(to + length, text->bytes + from, piece);
        memcpy(to + length + piece, number, digits);
        length += piece + digits;
        from = text->holes[i];
    }
    memcpy(to + length, text->bytes + from, text->length - from);
    return length + text->length - from;
}
