#include "vmm/host/entropy.h"

#include <errno.h>
#include <sys/random.h>

int host_entropy(uint8_t *bytes, size_t length, struct error *error)
{
    size_t done = 0;

    /* A request of more than 256 bytes may be cut short by a signal (getrandom(2)). */
    while (done < length) {
        ssize_t got = getrandom(bytes + done, length - done, 0);
        if (got < 0 && errno != EINTR)
            return error_errno(error, "cannot get random bytes");
        if (got > 0)
            done += (size_t)got;
    }
    return 0;
}
