/* Does a guest read the time stamp counter? Under KVM it gets the host's, and no recorder hears of it. */
#ifndef ENCORE_TOOLS_TIME_STAMP_H
#define ENCORE_TOOLS_TIME_STAMP_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/boot/boot.h"

enum time_stamp_use {
    TIME_STAMP_UNUSED, /* there is no RDTSC or RDTSCP in the image's code */
    TIME_STAMP_READ,   /* there is */
    TIME_STAMP_UNKNOWN /* the image is not all that will run: an operating system, a loader, firmware */
};

/* Looks at an image that is to be booted by `protocol`, which is not BOOT_AUTO, with so many modules. The image may be
 * anything, or NULL when it is not there. */
enum time_stamp_use time_stamp_use(enum boot_protocol protocol, unsigned modules, const uint8_t *image, size_t length);

#endif
