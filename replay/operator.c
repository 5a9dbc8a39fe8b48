/* See operator.h. */
#include "replay/operator.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"

static int understand_balloon(const json_t *request, struct operator_order *order, struct error *error)
{
    const json_t *bytes = json_object_get(request, "bytes");
    json_int_t value = json_integer_value(bytes);

    if (!json_is_integer(bytes) || value < 0 || value > (json_int_t)MACHINE_RAM_MAX)
        return error_set(error, ERROR_INPUT, "balloon: \"bytes\" is not a number from 0 to %llu",
                         (unsigned long long)MACHINE_RAM_MAX);
    order->command = MACHINE_BALLOON;
    order->length = 4;
    bytes_store(order->bytes, 4, (uint64_t)value >> RAM_PAGE_SHIFT);
    return 0;
}

static int hex_value(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* The bytes that a text of two hexadecimal digits each stands for. False: it has something else than digits 0 to f. */
static bool take_hex(const char *text, size_t bytes, uint8_t *to)
{
    for (size_t n = 0; n < bytes; n++) {
        int high = hex_value(text[2 * n]), low = hex_value(text[2 * n + 1]);
        if (high < 0 || low < 0)
            return false;
        to[n] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static int understand_generation(const json_t *request, struct operator_order *order, struct error *error)
{
    const json_t *id = json_object_get(request, "id");
    const char *text = json_string_value(id);

    if (!text || json_string_length(id) != 2 * VMGENID_BYTES || !take_hex(text, VMGENID_BYTES, order->bytes))
        return error_set(error, ERROR_INPUT, "new-generation: \"id\" is not %d digits 0 to f", 2 * VMGENID_BYTES);
    order->command = MACHINE_NEW_GENERATION;
    order->length = VMGENID_BYTES;
    return 0;
}

static int understand_keys(const json_t *request, struct operator_order *order, struct error *error)
{
    const json_t *codes = json_object_get(request, "codes");
    const char *text = json_string_value(codes);
    size_t digits = json_string_length(codes);

    if (!text || digits == 0 || digits % 2 || digits / 2 > sizeof order->bytes)
        return error_set(error, ERROR_INPUT, "keys: \"codes\" is not 1 to %zu scan codes of two hexadecimal digits",
                         sizeof order->bytes);
    if (!take_hex(text, digits / 2, order->bytes))
        return error_set(error, ERROR_INPUT, "keys: \"codes\" has something else than digits 0 to f");
    order->command = MACHINE_KEYS;
    order->length = digits / 2;
    return 0;
}

/* The years 0 to 9999, which the clock can show. */
#define SECONDS_MIN (-62167219200)
#define SECONDS_MAX 253402300799

static int understand_set_time(const json_t *request, struct operator_order *order, struct error *error)
{
    const json_t *seconds = json_object_get(request, "seconds");
    json_int_t value = json_integer_value(seconds);

    if (!json_is_integer(seconds) || value < SECONDS_MIN || value > SECONDS_MAX)
        return error_set(error, ERROR_INPUT,
                         "set-time: \"seconds\" is not a number of seconds since 1970, years 0 to 9999");
    order->command = MACHINE_SET_TIME;
    order->length = 8;
    bytes_store(order->bytes, 8, (uint64_t)value);
    return 0;
}

int operator_check(const struct operator_order *order, uint64_t ram_size, struct error *error)
{
    uint64_t pages = order->command == MACHINE_BALLOON ? bytes_load(order->bytes, 4) : 0;

    if (pages > ram_size >> RAM_PAGE_SHIFT)
        return error_set(error, ERROR_INPUT,
                         "balloon: the guest has %" PRIu64 " MiB of memory, and cannot give up %" PRIu64 " MiB",
                         ram_size >> 20, (pages + 255) >> 8);
    return 0;
}

int operator_understand(const json_t *request, struct operator_order *order, struct error *error)
{
    const char *command = json_string_value(json_object_get(request, "command"));

    *order = (struct operator_order){0};
    if (!command)
        return error_set(error, ERROR_INPUT, "not a request: a JSON object with a \"command\" is");
    if (strcmp(command, "power-button") == 0) {
        order->command = MACHINE_POWER_BUTTON;
        return 0;
    }
    if (strcmp(command, "balloon") == 0)
        return understand_balloon(request, order, error);
    if (strcmp(command, "keys") == 0)
        return understand_keys(request, order, error);
    if (strcmp(command, "set-time") == 0)
        return understand_set_time(request, order, error);
    if (strcmp(command, "new-generation") == 0)
        return understand_generation(request, order, error);
    return error_set(error, ERROR_INPUT,
                     "there is no such command: power-button, balloon, keys, set-time and new-generation there are");
}

int operator_parse(const char *text, size_t length, struct operator_order *order, struct error *error)
{
    json_t *request = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    int result = operator_understand(request, order, error);

    json_decref(request);
    return result;
}

char *operator_answer(const struct error *error)
{
    json_t *answer = error ? json_pack("{s:s}", "error", error->text) : json_pack("{s:b}", "ok", 1);
    char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;

    json_decref(answer);
    return text;
}
