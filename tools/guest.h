/* Putting a machine together from its parts, as every command that runs one does. */
#ifndef ENCORE_TOOLS_GUEST_H
#define ENCORE_TOOLS_GUEST_H

#include "replay/description.h"
#include "tools/guest_disks.h"
#include "tools/machine_options.h"
#include "vmm/kvm/kvm_engine.h"
#include "vmm/machine.h"

/* The image is at most so large. */
#define GUEST_IMAGE_MAX FIND_FILE_MAX

struct guest {
    struct files *files; /* of the run; may be NULL */
    struct engine *engine;
    struct error why_soft; /* set where "auto" did not take the engine kvm */
    bool recorded;         /* in a log, or by a backup */
    struct machine machine;
    bool has_machine;
    struct description description;
    uint8_t *image;
    size_t image_length;
    struct guest_disks disks;
    struct file_finder finder;      /* of a machine that was recorded */
    uint8_t *modules[BOOT_MODULES]; /* the bytes of description.modules */
};

/* Whether "auto" takes the engine kvm, of which these things are known: it can name places between exits, and it does
 * not emulate the guest's kernel. If not, `reason` says why. */
bool guest_kvm_suits(const struct engine_caps *caps, const struct kvm_probe_result *probe, struct error *reason);

/* Makes it one with no parts yet, whose files are inputs of the run `files`. */
void guest_begin(struct guest *guest, struct files *files);

/* What "auto" has to say for itself where it is to be exact. */
#define GUEST_WHY_EXACT                                                                                                \
    "a recording on it is exact for every guest; on KVM the guest's time stamp counter is the host's"

/* Makes guest->engine by the name of an option ("auto", "kvm", "soft"). Where the run is `recorded`, in a log or by a
 * backup, "auto" is soft. */
int guest_choose_engine(struct guest *guest, const char *name, bool recorded, struct error *error);

/* Tells on standard error why "auto" came to soft, if it did; and, of a run that is recorded on KVM, that its replay
 * may differ, if the guest reads what KVM does not record. For when the machine is about to run: what is wrong with the
 * user's input shall be the only sentence. */
void guest_tell_engine(const struct guest *guest);

/* Makes an engine by its name ("kvm", "soft"); a careful one never overshoots a position (see vmm/engine.h). NULL with
 * the error. */
struct engine *guest_engine(const char *name, bool careful, struct error *error);

/* Reads the image and fills in what the description says about it. */
int guest_read_image(struct guest *guest, const char *path, struct error *error);

/* Reads the image, opens the disks, and describes the machine that the options want around guest->engine. `recorded`:
 * with all that a replay needs to know of the disks. */
int guest_describe(struct guest *guest, const struct machine_options *options, bool recorded, struct error *error);

/* Builds the machine of guest->description around guest->engine, over guest->disks. */
int guest_create_machine(struct guest *guest, const struct door *door, struct error *error);

/* For a machine that was recorded, and whose description is there: begins to look for its files (tools/find_files.h),
 * and refuses what the user gave for none of them. */
int guest_find_files(struct guest *guest, const struct file_places *places, const char *log, const char *beside,
                     struct error *error);

/* After that: reads the image and the modules that the description tells of. */
int guest_find_image(struct guest *guest, struct error *error);

/* For a machine that begins in mid-run: keeps what a reset would load again. It is wanted only if there is a reset, and
 * so taken if it can be had; it is an error only if the user says where it is, and it is not there. */
int guest_keep_image(struct guest *guest, struct error *error);

/* Boots it; the description then says which protocol was used. */
int guest_boot(struct guest *guest, struct error *error);

/* After guest_boot: refuses options that mean nothing to the protocol that was used. (The loaders refuse modules; a log
 * may have a command line that its guest never saw.) */
int guest_check_options(const struct guest *guest, const struct machine_options *options, struct error *error);

void guest_free(struct guest *guest);

#endif
