/* See inputs.h. */
#include "replay/inputs.h"

#include "base/bytes.h"

bool inputs_note(struct inputs *inputs, const struct log_record *record)
{
    switch (record->type) {
    case LOG_CONSOLE_IN:
        inputs->total += record->length;
        return true;
    case LOG_OPERATOR:
        if (record->command != INPUTS_OWNER || record->length != 8)
            return false;
        inputs->owner = bytes_load(record->bytes, 8);
        return true;
    default:
        return true;
    }
}

void inputs_state(struct inputs *inputs, struct state *state)
{
    state_section(state, "inputs", 1);
    state_u64(state, "total", &inputs->total);
    state_u64(state, "owner", &inputs->owner);
}
