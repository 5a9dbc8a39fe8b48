/* What has passed through the door, both ways; part of the state that a checkpoint holds. */
#ifndef ENCORE_REPLAY_TRAFFIC_H
#define ENCORE_REPLAY_TRAFFIC_H

#include "replay/inputs.h"
#include "replay/outputs.h"

struct traffic {
    struct outputs outputs;
    struct inputs inputs;
};

#endif
