/* See machine.h. */
#include "tests/simulation/machine.h"

#include <string.h>

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash ^= value + UINT64_C(0x9e3779b97f4a7c15);
    hash *= UINT64_C(0xff51afd7ed558ccd);
    return hash ^ hash >> 32;
}

void machine_boot(struct sim_machine *machine)
{
    *machine = (struct sim_machine){.hash = 1};
}

static void print(struct sim_machine *machine, uint8_t byte)
{
    if (machine->printed < MACHINE_HISTORY)
        machine->history[machine->printed++] = byte;
}

static void obey(struct sim_machine *machine)
{
    const uint8_t *command = machine->command;

    machine->commands++;
    print(machine, 'R');
    print(machine, command[1]);
    print(machine, command[2]);
    for (unsigned n = 0; n < 3; n++)
        print(machine, (uint8_t)(machine->hash >> 8 * n));
    machine->wants_end |= command[3] == 'q';
}

static void take_input(struct sim_machine *machine, const uint8_t *bytes, size_t length)
{
    for (size_t n = 0; n < length; n++) {
        machine->hash = mix(machine->hash, bytes[n]);
        machine->inputs++;
        machine->command[machine->command_length++] = bytes[n];
        if (machine->command_length == MACHINE_COMMAND) {
            machine->command_length = 0;
            obey(machine);
        }
    }
}

static void pass_time(struct sim_machine *machine, uint64_t time, uint64_t noise)
{
    machine->guest_time = time;
    machine->hash = mix(mix(machine->hash, time), noise);
    /* Room is left for the answers to all commands. */
    if (noise % 8 == 0 && machine->printed < MACHINE_HISTORY / 2) {
        print(machine, 'S');
        print(machine, (uint8_t)machine->hash);
    }
}

bool machine_apply(struct sim_machine *machine, enum machine_record kind, const uint8_t *payload, size_t length)
{
    uint64_t first = length >= 8 ? bytes_load(payload, 8) : 0, second = length >= 16 ? bytes_load(payload + 8, 8) : 0;

    machine->records++;
    switch (kind) {
    case RECORD_TICK:
        pass_time(machine, first, second);
        return length == 16;
    case RECORD_OWNER:
        machine->owner = first;
        machine->hash = mix(machine->hash, first);
        return length == 8;
    case RECORD_INPUT:
        take_input(machine, payload, length);
        return true;
    case RECORD_OUTPUT:
        machine->announced = machine->printed;
        return first == machine->printed && second == machine->hash;
    case RECORD_DIGEST:
        return first == machine->hash;
    case RECORD_END:
        machine->ended = true;
        return first == machine->hash;
    }
    return false;
}

void machine_save(const struct sim_machine *machine, struct bytes_writer *to)
{
    bytes_put(to, machine, offsetof(struct sim_machine, history) + machine->printed);
}

bool machine_restore(struct sim_machine *machine, const uint8_t *bytes, size_t length)
{
    size_t fixed = offsetof(struct sim_machine, history);

    if (length < fixed)
        return false;
    memcpy(machine, bytes, fixed);
    if (machine->printed > MACHINE_HISTORY || length != fixed + machine->printed)
        return false;
    memcpy(machine->history, bytes + fixed, machine->printed);
    return true;
}
