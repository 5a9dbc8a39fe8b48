#!/bin/sh
# Lists all of our C sources and headers, from the repository's root.
find base logs vmm replay replication tools guests tests bench -name '*.[ch]' 2>/dev/null | sort
