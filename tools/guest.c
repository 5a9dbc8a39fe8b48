/* See guest.h. */
#include "tools/guest.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/host/file.h"
#include "vmm/kvm/kvm_engine.h"

struct engine *guest_engine(const char *name, bool careful, struct error *error)
{
    const struct kvm_engine_options options = {.careful = careful};

    if (strcmp(name, "soft") == 0) {
        error_set(error, ERROR_INPUT, "the engine 'soft' is not built into this encore; use --engine kvm");
        return NULL;
    }
    return kvm_engine_create(&options, error);
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
