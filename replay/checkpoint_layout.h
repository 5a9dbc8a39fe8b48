/* The bytes of a checkpoint, for its writer and its reader; docs/log-format.md tells of them. */
#ifndef ENCORE_REPLAY_CHECKPOINT_LAYOUT_H
#define ENCORE_REPLAY_CHECKPOINT_LAYOUT_H

#define CHECKPOINT_VERSION   2
#define CHECKPOINT_STATE_MAX (1u << 20)

/* How a page or a cluster stands in its list. */
enum entry_kind { ENTRY_ZERO = 0, ENTRY_BYTES = 1, ENTRY_LOST = 2 /* clusters only */ };

/* What comes after a list. */
enum list_end { STATE_FOLLOWS = 0, PAGES_FOLLOW = 1, CLUSTERS_FOLLOW = 2 };

#endif
