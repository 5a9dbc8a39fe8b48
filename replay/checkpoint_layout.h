/* The bytes of a checkpoint, for its writer and its reader; docs/log-format.md tells of them. */
#ifndef ENCORE_REPLAY_CHECKPOINT_LAYOUT_H
#define ENCORE_REPLAY_CHECKPOINT_LAYOUT_H

#define CHECKPOINT_VERSION   3
#define CHECKPOINT_STATE_MAX (1u << 20)

/* How the pages or clusters of a run stand in their list. */
enum run_kind { RUN_ZERO = 0, RUN_BYTES = 1, RUN_LOST = 2 /* clusters only */ };

/* A writer's runs are no longer, so that their length is one byte of varint. */
#define RUN_LENGTH_MAX 127

/* What comes after a list. */
enum list_end { STATE_FOLLOWS = 0, PAGES_FOLLOW = 1, CLUSTERS_FOLLOW = 2 };

#endif
