/*
 * Network frames as a capture file of the classic format, with nanoseconds (the magic number a1b23c4d), little-endian:
 * what tcpdump and Wireshark read.
 */
#ifndef ENCORE_REPLAY_PCAP_H
#define ENCORE_REPLAY_PCAP_H

#include "base/bytes.h"

/* The beginning of a file of Ethernet frames. */
void pcap_begin(struct bytes_writer *out);

/* A frame; `time` is nanoseconds since 1970 UTC. */
void pcap_frame(struct bytes_writer *out, uint64_t time, const uint8_t *frame, size_t length);

#endif
