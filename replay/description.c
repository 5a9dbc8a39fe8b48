/* See description.h. */
#include "replay/description.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/bytes.h"
#include "replay/description_internal.h"

/* 1 was of machines without a generation (vmgenid.h): those are not made any more. */
#define DESCRIPTION_FORMAT 2

/* The one model of network card that there is. */
#define NET_MODEL "virtio-net"

/* Modules, where there are any: [{"path", "size", "digest", "text"}, ...]. */
static int put_modules(json_t *json, const struct description *d)
{
    json_t *list = json_array();
    char digest[DIGEST_TEXT];

    for (unsigned i = 0; i < d->module_count; i++) {
        const struct description_module *module = &d->modules[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:I, s:s, s:s}", "path", module->path, "size", (json_int_t)module->size,
                                        "digest", digest_text(module->digest, digest), "text", module->text));
    }
    if (json_array_size(list) != d->module_count) {
        json_decref(list);
        return -1;
    }
    return json_object_set_new(json, "modules", list);
}

/* Network cards, where there are any: [{"model", "mac"}, ...]. What is at their other end is each host's own. */
static int put_nets(json_t *json, const struct description *d)
{
    json_t *list = json_array();
    char mac[MAC_TEXT];

    for (unsigned i = 0; i < d->net_count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "model", NET_MODEL, "mac", mac_text(d->macs[i], mac)));
    return json_object_set_new(json, "nets", list);
}

char *description_to_json(const struct description *d, struct error *error)
{
    char digest[DIGEST_TEXT];
    json_error_t problem;
    json_t *json = json_pack_ex(&problem, 0, "{s:i, s:{s:s, s:I, s:s, s:s}, s:s, s:s, s:s, s:s, s:I, s:I}", "format",
                                DESCRIPTION_FORMAT, "image", "path", d->image, "size", (json_int_t)d->image_size,
                                "digest", digest_text(d->image_digest, digest), "boot", boot_protocol_name(d->protocol),
                                "engine", d->engine, "tick_unit", d->tick_unit, "clock", d->clock, "cmdline",
                                d->cmdline, "ram", (json_int_t)d->ram_size, "rtc_start", (json_int_t)d->rtc_start);
    if (json && d->from_checkpoint)
        json_object_set_new(json, "begins", json_string("checkpoint"));
    if (json && d->prompt)
        json_object_set_new(json, "interrupts", json_string("prompt"));
    if (json && d->end_at_reset)
        json_object_set_new(json, "reset", json_string("exit"));
    if (json && d->virtio_console)
        json_object_set_new(json, "console", json_string("virtio"));
    if (json && d->net_count)
        put_nets(json, d);
    if (json && ((d->module_count && put_modules(json, d) < 0) ||
                 (d->disk_count && json_object_set_new(json, "disks", description_disks_to_json(d)) < 0))) {
        json_decref(json);
        error_set(error, ERROR_INPUT, "the machine's description cannot be written: a file's path is not UTF-8");
        return NULL;
    }
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

    json_decref(json);
    if (!text)
        error_set(error, ERROR_INPUT, "the machine's description cannot be written: %s",
                  json ? "out of memory" : problem.text);
    return text;
}

int description_text(const json_t *object, const char *name, char *to, size_t room, struct error *error)
{
    const char *text = json_string_value(json_object_get(object, name));

    if (!text || strlen(text) >= room || strlen(text) != json_string_length(json_object_get(object, name)))
        return error_set(error, ERROR_INPUT, "machine description: %s is missing or not a text of at most %zu bytes",
                         name, room - 1);
    memcpy(to, text, strlen(text) + 1);
    return 0;
}

int description_number(const json_t *object, const char *name, int64_t min, int64_t max, int64_t *to,
                       struct error *error)
{
    const json_t *number = json_object_get(object, name);
    int64_t value = json_integer_value(number);

    if (!json_is_integer(number) || value < min || value > max)
        return error_set(error, ERROR_INPUT,
                         "machine description: %s is missing or not a number from %" PRId64 " to %" PRId64, name, min,
                         max);
    *to = value;
    return 0;
}

static int get_image(const json_t *json, struct description *d, struct error *error)
{
    const json_t *image = json_object_get(json, "image");
    char digest[DIGEST_TEXT];
    char protocol[DESCRIPTION_NAME_MAX];
    int64_t size;

    if (description_text(image, "path", d->image, sizeof d->image, error) < 0 ||
        description_number(image, "size", 0, INT64_MAX, &size, error) < 0 ||
        description_text(image, "digest", digest, sizeof digest, error) < 0 ||
        description_text(image, "boot", protocol, sizeof protocol, error) < 0)
        return -1;
    d->image_size = (uint64_t)size;
    if (digest_parse(digest, &d->image_digest) < 0)
        return error_set(error, ERROR_INPUT, "machine description: the image's digest is not 32 hexadecimal digits");
    if (boot_protocol_parse(protocol, &d->protocol) < 0 || d->protocol == BOOT_AUTO)
        return error_set(error, ERROR_INPUT, "machine description: unknown boot protocol");
    return 0;
}

static int get_modules(const json_t *json, struct description *d, struct error *error)
{
    const json_t *list = json_object_get(json, "modules");
    char digest[DIGEST_TEXT];
    int64_t size;

    if (list && (!json_is_array(list) || json_array_size(list) > BOOT_MODULES))
        return error_set(error, ERROR_INPUT, "machine description: modules is not a list of at most %d", BOOT_MODULES);
    d->module_count = (unsigned)json_array_size(list);
    for (unsigned i = 0; i < d->module_count; i++) {
        struct description_module *module = &d->modules[i];
        const json_t *from = json_array_get(list, i);
        if (description_text(from, "path", module->path, sizeof module->path, error) < 0 ||
            description_text(from, "text", module->text, sizeof module->text, error) < 0 ||
            description_number(from, "size", 1, INT64_MAX, &size, error) < 0 ||
            description_text(from, "digest", digest, sizeof digest, error) < 0)
            return -1;
        module->size = (uint64_t)size;
        if (digest_parse(digest, &module->digest) < 0)
            return error_set(error, ERROR_INPUT, "machine description: a module's digest is not 32 hexadecimal digits");
    }
    return 0;
}

static int get_nets(const json_t *json, struct description *d, struct error *error)
{
    const json_t *list = json_object_get(json, "nets");
    char model[DESCRIPTION_NAME_MAX], mac[MAC_TEXT];

    if (list && (!json_is_array(list) || json_array_size(list) > MACHINE_CARDS_MAX))
        return error_set(error, ERROR_INPUT, "machine description: nets is not a list of at most %d",
                         MACHINE_CARDS_MAX);
    d->net_count = (unsigned)json_array_size(list);
    for (unsigned i = 0; i < d->net_count; i++) {
        const json_t *from = json_array_get(list, i);
        if (description_text(from, "model", model, sizeof model, error) < 0 ||
            description_text(from, "mac", mac, sizeof mac, error) < 0)
            return -1;
        if (strcmp(model, NET_MODEL) != 0)
            return error_set(error, ERROR_INPUT, "machine description: this encore has no network card '%s'", model);
        if (mac_parse(mac, d->macs[i]) < 0)
            return error_set(error, ERROR_INPUT, "machine description: '%s' is not a network card's address", mac);
    }
    return 0;
}

/* A field that is there with this word, or not at all. */
static int get_word(const json_t *json, const char *name, const char *word, bool *there, struct error *error)
{
    const json_t *field = json_object_get(json, name);

    *there = field != NULL;
    if (field && (!json_is_string(field) || strcmp(json_string_value(field), word) != 0))
        return error_set(error, ERROR_INPUT, "machine description: %s is not \"%s\"", name, word);
    return 0;
}

static int get_machine(const json_t *json, struct description *d, struct error *error)
{
    int64_t ram, format;

    if (description_number(json, "format", 1, DESCRIPTION_FORMAT, &format, error) < 0)
        return -1;
    if (format < DESCRIPTION_FORMAT)
        return error_set(error, ERROR_INPUT,
                         "it is of an older encore, whose machine was another one: replay it with that");
    if (description_number(json, "ram", (int64_t)MACHINE_RAM_MIN, (int64_t)MACHINE_RAM_MAX, &ram, error) < 0 ||
        description_number(json, "rtc_start", INT64_MIN, INT64_MAX, &d->rtc_start, error) < 0)
        return -1;
    if ((uint64_t)ram % RAM_PAGE_SIZE)
        return error_set(error, ERROR_INPUT, "machine description: ram is not a whole number of pages");
    d->ram_size = (uint64_t)ram;
    if (get_word(json, "begins", "checkpoint", &d->from_checkpoint, error) < 0 ||
        get_word(json, "interrupts", "prompt", &d->prompt, error) < 0 ||
        get_word(json, "reset", "exit", &d->end_at_reset, error) < 0 ||
        get_word(json, "console", "virtio", &d->virtio_console, error) < 0)
        return -1;
    return 0;
}

int description_from_json(const char *json, size_t length, struct description *d, struct error *error)
{
    json_error_t problem;
    json_t *root = json_loadb(json, length, JSON_REJECT_DUPLICATES, &problem);
    int result = -1;

    *d = (struct description){0};
    if (!root)
        return error_set(error, ERROR_INPUT, "machine description: %.200s", problem.text);
    if (get_machine(root, d, error) == 0 && get_image(root, d, error) == 0 && get_modules(root, d, error) == 0 &&
        get_nets(root, d, error) == 0 && description_disks_from_json(root, d, error) == 0 &&
        description_text(root, "engine", d->engine, sizeof d->engine, error) == 0 &&
        description_text(root, "tick_unit", d->tick_unit, sizeof d->tick_unit, error) == 0 &&
        description_text(root, "clock", d->clock, sizeof d->clock, error) == 0 &&
        description_text(root, "cmdline", d->cmdline, sizeof d->cmdline, error) == 0)
        result = 0;
    json_decref(root);
    if (result == 0 && strcmp(d->clock, "host") != 0 && strcmp(d->clock, "virtual") != 0)
        return error_set(error, ERROR_INPUT, "machine description: this encore has no clock '%s'", d->clock);
    return result;
}

/* The machine's generation at first: another one whenever another machine is described, and the same in a replay. */
static void first_generation(const struct description *d, uint8_t id[VMGENID_BYTES])
{
    uint8_t bytes[24];

    bytes_store(bytes, 8, d->image_digest.low);
    bytes_store(bytes + 8, 8, d->image_digest.high);
    bytes_store(bytes + 16, 8, (uint64_t)d->rtc_start);
    struct digest digest = digest_of(bytes, sizeof bytes, 0);
    bytes_store(id, 8, digest.low);
    bytes_store(id + 8, 8, digest.high);
}

struct machine_config description_config(const struct description *d)
{
    struct machine_config config = {
        .ram_size = d->ram_size,
        .rtc_start = d->rtc_start,
        .virtual_clock = strcmp(d->clock, "virtual") == 0,
        .prompt = d->prompt,
        .boot = {.cmdline = d->cmdline, .protocol = d->protocol},
        .disk_count = d->disk_count,
        .net_count = d->net_count,
        .virtio_console = d->virtio_console,
        .end_at_reset = d->end_at_reset,
    };

    first_generation(d, config.generation);
    for (unsigned i = 0; i < d->disk_count; i++)
        config.disks[i] = description_disk_config(&d->disks[i]);
    for (unsigned i = 0; i < d->net_count; i++)
        memcpy(config.nets[i].mac, d->macs[i], MAC_BYTES);
    return config;
}
