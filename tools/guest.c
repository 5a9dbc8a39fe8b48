/* See guest.h. */
#include "tools/guest.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/host/clock.h"
#include "vmm/host/file.h"
#include "vmm/soft/soft_engine.h"

/* Kernel code that KVM emulates slower than this, in picoseconds an instruction (10 M a second), runs better on soft.
 */
#define KVM_SLOW_PS 100000

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

int guest_choose_engine(struct guest *guest, const char *name, struct error *error)
{
    const struct kvm_engine_options options = {0};

    if (strcmp(name, "auto") != 0) {
        guest->engine = guest_engine(name, false, error);
        return guest->engine ? 0 : -1;
    }
    guest->engine = kvm_engine_create(&options, &guest->why_soft);
    if (guest->engine &&
        guest_kvm_suits(&guest->engine->caps, kvm_engine_probe_result(guest->engine), &guest->why_soft))
        return 0;
    engine_destroy(guest->engine);
    guest->engine = soft_engine_create(&(struct engine_host){0}, error);
    return guest->engine ? 0 : -1;
}

void guest_tell_engine(const struct guest *guest)
{
    if (guest->why_soft.kind != ERROR_NONE)
        fprintf(stderr, "encore: engine soft, because %s\n", guest->why_soft.text);
}

struct engine *guest_engine(const char *name, bool careful, struct error *error)
{
    const struct kvm_engine_options options = {.careful = careful};

    if (strcmp(name, "kvm") == 0)
        return kvm_engine_create(&options, error);
    if (strcmp(name, "soft") == 0)
        return soft_engine_create(&(struct engine_host){0}, error);
    error_set(error, ERROR_INPUT, "there is no engine '%s': it is kvm or soft", name);
    return NULL;
}

int guest_read_image(struct guest *guest, const char *path, struct error *error)
{
    char resolved[PATH_MAX];

    if (host_file_read(path, GUEST_IMAGE_MAX, &guest->image, &guest->image_length, error) < 0)
        return -1;
    if (!realpath(path, resolved))
        return error_errno(error, "%s", path);
    if (strlen(resolved) >= sizeof guest->description.image)
        return error_set(error, ERROR_INPUT, "%s: the path is too long", path);
    memcpy(guest->description.image, resolved, strlen(resolved) + 1);
    guest->description.image_size = guest->image_length;
    guest->description.image_digest = digest_of(guest->image, guest->image_length, 0);
    return 0;
}

int guest_describe(struct guest *guest, const struct machine_options *options, struct error *error)
{
    struct description *d = &guest->description;

    snprintf(d->engine, sizeof d->engine, "%s", guest->engine->ops->name);
    snprintf(d->tick_unit, sizeof d->tick_unit, "%s", guest->engine->caps.tick_unit);
    snprintf(d->clock, sizeof d->clock, "host");
    snprintf(d->cmdline, sizeof d->cmdline, "%s", options->cmdline);
    d->ram_size = options->ram_size;
    d->rtc_start = host_clock_wall();
    d->protocol = options->protocol;
    return guest_read_image(guest, options->image, error);
}

int guest_create_machine(struct guest *guest, const struct door *door, struct error *error)
{
    struct machine_config config = description_config(&guest->description);

    if (machine_create(&guest->machine, &config, guest->engine, door, error) < 0)
        return -1;
    guest->has_machine = true;
    return 0;
}

int guest_boot(struct guest *guest, struct error *error)
{
    struct machine_config config = description_config(&guest->description);

    return machine_boot(&guest->machine, &config, guest->image, guest->image_length, guest->description.image,
                        &guest->description.protocol, error);
}

void guest_free(struct guest *guest)
{
    engine_destroy(guest->engine);
    if (guest->has_machine)
        machine_destroy(&guest->machine);
    free(guest->image);
    *guest = (struct guest){0};
}
