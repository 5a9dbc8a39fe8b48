/* See pcap.h. The layout is that of pcap-savefile(5). */
#include "replay/pcap.h"

#define NANOSECONDS UINT64_C(1000000000)

#define PCAP_MAGIC    0xa1b23c4d
#define PCAP_SNAPSHOT 65535 /* no frame is longer */
#define PCAP_ETHERNET 1     /* LINKTYPE_ETHERNET */
#define PCAP_MAJOR    2
#define PCAP_MINOR    4

void pcap_begin(struct bytes_writer *out)
{
    bytes_put_uint(out, 4, PCAP_MAGIC);
    bytes_put_uint(out, 2, PCAP_MAJOR);
    bytes_put_uint(out, 2, PCAP_MINOR);
    bytes_put_uint(out, 8, 0); /* reserved: time zone and accuracy once */
    bytes_put_uint(out, 4, PCAP_SNAPSHOT);
    bytes_put_uint(out, 4, PCAP_ETHERNET);
}

void pcap_frame(struct bytes_writer *out, uint64_t time, const uint8_t *frame, size_t length)
{
    bytes_put_uint(out, 4, time / NANOSECONDS);
    bytes_put_uint(out, 4, time % NANOSECONDS);
    bytes_put_uint(out, 4, length); /* kept here */
    bytes_put_uint(out, 4, length); /* of the frame */
    bytes_put(out, frame, length);
}
