/* See guest.h. */
#include "tools/guest.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/time_stamp.h"
#include "vmm/host/clock.h"
#include "vmm/host/file.h"
#include "vmm/soft/soft_engine.h"

/* Kernel code that KVM emulates slower than this, in picoseconds an instruction (10 M a second), runs better on soft.
 */
#define KVM_SLOW_PS 100000

/* What the real-time clock shows at first with the virtual clock: 2020-01-01 00:00:00 UTC. */
#define VIRTUAL_RTC_START INT64_C(1577836800)

bool guest_kvm_suits(const struct engine_caps *caps, const struct kvm_probe_result *probe, struct error *reason)
{
    if (!caps->ticks && !caps->landmarks)
        error_set(reason, ERROR_HOST, "KVM here has no exact counter and no usable breakpoints");
    else if (probe->insn_ps > KVM_SLOW_PS)
        error_set(reason, ERROR_HOST, "KVM here emulates kernel code, at %.1f million instructions a second",
                  1e6 / (double)probe->insn_ps);
    else
        return true;
    return false;
}

void guest_begin(struct guest *guest, struct files *files)
{
    memset(guest, 0, sizeof *guest);
    guest->files = guest->disks.run = files;
}

int guest_choose_engine(struct guest *guest, const char *name, bool recorded, struct error *error)
{
    const struct kvm_engine_options options = {0};

    guest->recorded = recorded;
    if (strcmp(name, "auto") != 0) {
        guest->engine = guest_engine(name, false, error);
        return guest->engine ? 0 : -1;
    }
    if (recorded)
        error_set(&guest->why_soft, ERROR_HOST, GUEST_WHY_EXACT);
    else
        guest->engine = kvm_engine_create(&options, &guest->why_soft);
    if (guest->engine &&
        guest_kvm_suits(&guest->engine->caps, kvm_engine_probe_result(guest->engine), &guest->why_soft))
        return 0;
    engine_destroy(guest->engine);
    guest->engine = soft_engine_create(&(struct engine_host){0}, error);
    return guest->engine ? 0 : -1;
}

static void warn_of_time_stamps(const struct guest *guest)
{
    const struct description *d = &guest->description;
    const char *reads = NULL;

    switch (time_stamp_use(d->protocol, d->module_count, guest->image, guest->image_length)) {
    case TIME_STAMP_UNUSED:
        return;
    case TIME_STAMP_READ:
        reads = "this guest reads";
        break;
    case TIME_STAMP_UNKNOWN:
        reads = "this guest may read";
        break;
    }
    fprintf(stderr,
            "encore: on engine kvm a replay may differ: %s the time stamp counter, which no KVM lets be recorded "
            "(engine soft does)\n",
            reads);
}

void guest_tell_engine(const struct guest *guest)
{
    if (guest->why_soft.kind != ERROR_NONE)
        fprintf(stderr, "encore: engine soft, because %s\n", guest->why_soft.text);
    if (guest->recorded && strcmp(guest->engine->ops->name, "kvm") == 0)
        warn_of_time_stamps(guest);
}

struct engine *guest_engine(const char *name, bool careful, struct error *error)
{
    const struct kvm_engine_options options = {.careful = careful};

    if (strcmp(name, "kvm") == 0)
        return kvm_engine_create(&options, error);
    if (strcmp(name, "soft") == 0)
        return soft_engine_create(&(struct engine_host){0}, error);
    error_set(error, ERROR_INPUT, "unknown engine '%s' (kvm or soft)", name);
    return NULL;
}

static int read_file(struct files *files, const char *path, uint8_t **bytes, size_t *length,
                     char resolved[DESCRIPTION_PATH_MAX], struct error *error)
{
    char absolute[PATH_MAX];

    if (host_file_read(files, path, GUEST_IMAGE_MAX, bytes, length, error) < 0)
        return -1;
    if (!realpath(path, absolute))
        return error_errno(error, "%s", path);
    if (strlen(absolute) >= DESCRIPTION_PATH_MAX)
        return error_set(error, ERROR_INPUT, "%s: the path is too long", path);
    memcpy(resolved, absolute, strlen(absolute) + 1);
    return 0;
}

int guest_read_image(struct guest *guest, const char *path, struct error *error)
{
    struct description *d = &guest->description;

    if (read_file(guest->files, path, &guest->image, &guest->image_length, d->image, error) < 0)
        return -1;
    d->image_size = guest->image_length;
    d->image_digest = digest_of(guest->image, guest->image_length, 0);
    return 0;
}

static int read_modules(struct guest *guest, struct error *error)
{
    for (unsigned i = 0; i < guest->description.module_count; i++) {
        struct description_module *module = &guest->description.modules[i];
        char path[DESCRIPTION_PATH_MAX];
        size_t length;
        memcpy(path, module->path, sizeof path);
        if (read_file(guest->files, path, &guest->modules[i], &length, module->path, error) < 0)
            return -1;
        if (length == 0)
            return error_set(error, ERROR_INPUT, "%s: an empty file cannot be a module", path);
        module->size = length;
        module->digest = digest_of(guest->modules[i], length, 0);
    }
    return 0;
}

/* "PATH" or "PATH TEXT". */
static int describe_modules(struct description *d, const struct machine_options *options, struct error *error)
{
    d->module_count = options->module_count;
    for (unsigned i = 0; i < options->module_count; i++) {
        const char *text = options->modules[i];
        size_t length = strcspn(text, " ");
        struct description_module *module = &d->modules[i];
        if (strlen(text) >= DESCRIPTION_PATH_MAX)
            return error_set(error, ERROR_INPUT, "--initrd: the path is too long");
        memcpy(module->path, text, length);
        module->path[length] = '\0';
        snprintf(module->text, sizeof module->text, "%s", text[length] ? text + length + 1 : "");
    }
    return 0;
}

int guest_describe(struct guest *guest, const struct machine_options *options, bool recorded, struct error *error)
{
    struct description *d = &guest->description;

    snprintf(d->engine, sizeof d->engine, "%s", guest->engine->ops->name);
    snprintf(d->tick_unit, sizeof d->tick_unit, "%s", guest->engine->caps.tick_unit);
    snprintf(d->clock, sizeof d->clock, "%s", options->clock);
    snprintf(d->cmdline, sizeof d->cmdline, "%s", options->cmdline);
    d->prompt = guest->engine->caps.tick_time;
    d->ram_size = options->ram_size;
    d->rtc_start = strcmp(options->clock, "virtual") == 0 ? VIRTUAL_RTC_START : host_clock_wall();
    d->protocol = options->protocol;
    d->end_at_reset = options->end_at_reset;
    d->virtio_console = options->virtio_console;
    d->net_count = options->network.count;
    memcpy(d->macs, options->network.macs, sizeof d->macs);
    if (describe_modules(d, options, error) < 0 || read_modules(guest, error) < 0 ||
        guest_read_image(guest, options->image, error) < 0)
        return -1;
    return guest_disks_open(&guest->disks, &options->disks, recorded, d, error);
}

int guest_create_machine(struct guest *guest, const struct door *door, struct error *error)
{
    struct machine_config config = description_config(&guest->description);

    guest_disks_back(&guest->disks, &config);
    if (machine_create(&guest->machine, &config, guest->engine, door, error) < 0)
        return -1;
    guest->has_machine = true;
    return 0;
}

/* The configuration with the modules' bytes. */
static struct machine_config whole_config(const struct guest *guest)
{
    struct machine_config config = description_config(&guest->description);

    config.boot.module_count = guest->description.module_count;
    for (unsigned i = 0; i < config.boot.module_count; i++) {
        const struct description_module *module = &guest->description.modules[i];
        config.boot.modules[i] = (struct boot_module){
            .bytes = guest->modules[i], .length = module->size, .name = module->path, .text = module->text};
    }
    return config;
}

int guest_find_files(struct guest *guest, const struct file_places *places, const char *log, const char *beside,
                     struct error *error)
{
    if (file_places_check(places, &guest->description, error) < 0)
        return -1;
    return file_finder_open(&guest->finder, guest->files, places, log, beside, error);
}

int guest_find_image(struct guest *guest, struct error *error)
{
    struct description *d = &guest->description;

    if (find_image(&guest->finder, d, &guest->image, &guest->image_length, error) < 0)
        return -1;
    for (unsigned i = 0; i < d->module_count; i++) {
        if (find_module(&guest->finder, d, i, &guest->modules[i], error) < 0)
            return -1;
    }
    return 0;
}

int guest_keep_image(struct guest *guest, struct error *error)
{
    struct error missing;

    if (guest_find_image(guest, &missing) == 0) {
        struct machine_config config = whole_config(guest);
        machine_keep_image(&guest->machine, &config.boot, guest->image, guest->image_length, guest->description.image);
    } else if (file_places_image_given(guest->finder.places)) {
        *error = missing;
        return -1;
    }
    return 0;
}

int guest_boot(struct guest *guest, struct error *error)
{
    struct machine_config config = whole_config(guest);

    return machine_boot(&guest->machine, &config, guest->image, guest->image_length, guest->description.image,
                        &guest->description.protocol, error);
}

int guest_check_options(const struct guest *guest, const struct machine_options *options, struct error *error)
{
    bool sector = guest->description.protocol == BOOT_SECTOR;

    if (*options->cmdline && (sector || guest->description.protocol == BOOT_FIRMWARE))
        return error_set(error, ERROR_INPUT, "--cmdline: %s takes no command line",
                         sector ? "a boot sector" : "firmware");
    return 0;
}

void guest_free(struct guest *guest)
{
    engine_destroy(guest->engine);
    if (guest->has_machine)
        machine_destroy(&guest->machine);
    guest_disks_close(&guest->disks);
    file_finder_close(&guest->finder);
    free(guest->image);
    for (unsigned i = 0; i < BOOT_MODULES; i++)
        free(guest->modules[i]);
    guest_begin(guest, guest->files);
}
