/*
 * Memory that kv carries along and keeps writing, so that copying the machine while it runs has something to do. Option
 * ballast=MB (default 0: none): how much, from 4 MiB of memory on, filled at the start. Option rate=MB: how many MiB of
 * it are written each second, a part at each tick of the timer, over and over.
 */
#ifndef GUEST_KV_BALLAST_H
#define GUEST_KV_BALLAST_H

#include <stdint.h>

#include "guests/runtime/interrupts.h"
#include "vmm/boot/boot_info.h"

struct ballast {
    uint64_t *words;
    uint64_t count;   /* of words */
    uint64_t next;    /* the word to be written next */
    uint64_t a_tick;  /* words to write at each tick */
    uint64_t pattern; /* another one each time */
};

/* `hz`: ticks a second. Ends the run with EXIT_USAGE when there is not so much memory. */
void ballast_start(struct ballast *ballast, const struct boot_info *info, unsigned hz);
/* A timer's handler. */
struct frame *ballast_tick(struct frame *frame, void *ballast);

#endif
