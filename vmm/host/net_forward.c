/* See net_forward.h. */
#include "vmm/host/net_forward.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define OPTION "hostfwd="

/* Copies what stands before `end`, and goes on behind that. False: there is no such character, or too much before. */
static bool take_word(const char **text, char end, char *word, size_t size)
{
    const char *stop = strchr(*text, end);
    size_t length = stop ? (size_t)(stop - *text) : size;

    if (length >= size)
        return false;
    memcpy(word, *text, length);
    word[length] = 0;
    *text = stop + 1;
    return true;
}

static bool get_address(const char *text, const char *otherwise, struct in_addr *address)
{
    return inet_pton(AF_INET, *text ? text : otherwise, address) == 1;
}

static bool get_port(const char *text, uint16_t *port)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || value == 0 || value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

static bool parse_one(const char *text, struct net_forward *to)
{
    char word[64];

    if (!take_word(&text, ':', word, sizeof word) || (strcmp(word, "tcp") && strcmp(word, "udp")))
        return false;
    to->udp = strcmp(word, "udp") == 0;
    if (!take_word(&text, ':', word, sizeof word) || !get_address(word, "127.0.0.1", &to->host))
        return false;
    if (!take_word(&text, '-', word, sizeof word) || !get_port(word, &to->host_port))
        return false;
    if (!take_word(&text, ':', word, sizeof word) || !get_address(word, "10.0.2.15", &to->guest))
        return false;
    return get_port(text, &to->guest_port);
}

int net_forward_parse(const char *text, struct net_forward forwards[NET_FORWARDS_MAX], struct error *error)
{
    int count = 0;
    char one[160];

    while (*text) {
        size_t length = strcspn(text, ",");
        size_t name = strlen(OPTION);
        bool good = length < sizeof one && strncmp(text, OPTION, name) == 0;
        if (good) {
            memcpy(one, text, length);
            one[length] = 0;
        }
        if (count == NET_FORWARDS_MAX)
            return error_set(error, ERROR_INPUT, "network user: more than %d port forwards", NET_FORWARDS_MAX);
        if (!good || !parse_one(one + name, &forwards[count]))
            return error_set(error, ERROR_INPUT, "network user: '%.*s' is not hostfwd=tcp|udp:[ADDR]:PORT-[GUEST]:PORT",
                             (int)length, text);
        count++;
        text += length;
        if (*text == ',')
            text++;
    }
    return count;
}
