/* The command line; see options.h. */
#include "guests/runtime/options.h"

#include <stddef.h>

#include "guests/runtime/console.h"
#include "guests/runtime/exit.h"
#include "guests/runtime/text.h"

static const char *line = "";

void options_start(const char *cmdline)
{
    line = cmdline;
}

/* The text after `name`: "" or " ..." or "=value ..."; NULL when the word is not there. */
static const char *find(const char *name)
{
    size_t length = strlen(name);
    for (const char *at = line; *at;) {
        while (*at == ' ')
            at++;
        const char *word = at;
        while (*at && *at != ' ')
            at++;
        if ((size_t)(at - word) >= length && memcmp(word, name, length) == 0 &&
            (word + length == at || word[length] == '='))
            return word + length;
    }
    return NULL;
}

bool option_given(const char *name)
{
    return find(name) != NULL;
}

uint64_t option_number(const char *name, uint64_t standard, uint64_t low, uint64_t high)
{
    const char *at = find(name);
    if (!at)
        return standard;
    uint64_t value = 0;
    bool good = *at == '=';
    if (good) {
        const char *digits = ++at;
        while (*at && *at != ' ')
            at++;
        good = text_number(digits, (size_t)(at - digits), &value);
    }
    if (good && value >= low && value <= high)
        return value;
    console_print("option %s: a number from %lu to %lu is needed\n", name, low, high);
    guest_exit(EXIT_USAGE);
}
