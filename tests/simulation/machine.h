/*
 * The pretended machine: a small pure function of its log.
 *
 * Its console takes commands of four bytes ('C', number low, number high, 'c' or, to end the guest, 'q') and answers
 * each with 'R', the number (two bytes) and three bytes of the hash of all that ever came in; now and then it prints
 * 'S' and a byte of that hash by itself. So a history that differs anywhere shows in all later output.
 */
#ifndef ENCORE_TESTS_SIMULATION_MACHINE_H
#define ENCORE_TESTS_SIMULATION_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define MACHINE_HISTORY 8192
#define MACHINE_COMMAND 4
#define MACHINE_REPLY   6

enum machine_record {
    RECORD_TICK = 1, /* u64 guest time, u64 of noise */
    RECORD_OWNER,    /* u64: whose input follows */
    RECORD_INPUT,    /* bytes */
    RECORD_OUTPUT,   /* u64: printed so far, u64 hash */
    RECORD_DIGEST,   /* u64 hash */
    RECORD_END,      /* u64 hash; the guest ended */
};

struct sim_machine {
    uint64_t guest_time, hash, owner, inputs;
    uint32_t records, commands;
    uint8_t command[MACHINE_COMMAND];
    uint8_t command_length;
    bool wants_end, ended;
    uint32_t printed, announced;
    uint8_t history[MACHINE_HISTORY];
};

void machine_boot(struct sim_machine *machine);
/* Applies a record; false if what it claims is not so (the machine differs from the one that was recorded). */
bool machine_apply(struct sim_machine *machine, enum machine_record kind, const uint8_t *payload, size_t length);
/* A record's bytes: u8 kind, u8 length, u32 number, payload. */
#define RECORD_HEADER 6
void machine_save(const struct sim_machine *machine, struct bytes_writer *to);
/* false for bytes that are no machine. */
bool machine_restore(struct sim_machine *machine, const uint8_t *bytes, size_t length);

#endif
