/*
 * The one door, seen from inside.
 *
 * A machine is a pure function of its initial state and its inputs. While an instruction is being executed it may turn
 * out to need something from outside (the time, random bytes) or to send something out; it then asks here, and cannot
 * tell whether the answer is fresh or from a log. All other inputs are brought to the machine between instructions, by
 * whoever runs it. The functions are called in the middle of an exit: they must not touch the machine.
 */
#ifndef ENCORE_VMM_DOOR_H
#define ENCORE_VMM_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a disk may want from the host. An image is only read. */
enum disk_transfer { DISK_READ_IMAGE, DISK_READ_OVERLAY, DISK_WRITE_OVERLAY, DISK_FLUSH };

struct door {
    void *context;
    /* The guest reads a clock device. `now` is the guest time so far; the answer is not before it, in nanoseconds. */
    uint64_t (*read_clock)(void *context, uint64_t now);
    /* The guest asks for random bytes. */
    void (*entropy)(void *context, uint8_t *bytes, size_t length);
    /* The guest sends one byte out through console `channel`. */
    void (*console_output)(void *context, uint8_t channel, uint8_t byte);
    /* The guest sends an Ethernet frame out through network card `card`; the bytes stay the caller's. */
    void (*frame_output)(void *context, uint8_t card, const uint8_t *frame, size_t length);
    /* Bytes of disk `disk` between here and the host, complete on return. False: the host failed, and what was to be
     * read is undefined. */
    bool (*disk)(void *context, unsigned disk, enum disk_transfer kind, uint64_t offset, void *bytes, size_t length);
    /* An exit has been served. Returns true to have the machine stop at the boundary after it. */
    bool (*exit_served)(void *context);
};

#endif
