/* See address.h. */
#include "replication/address.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define IPC     "ipc://"
#define TCP     "tcp://"
#define LONGEST ".console"

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static int malformed(const char *address, struct error *error)
{
    return error_set(error, ERROR_INPUT, "%.200s is not an address: ipc://PATH or tcp://HOST:PORT is needed", address);
}

static int ipc_link(const char *address, enum session_purpose purpose, char to[ADDRESS_MAX], struct error *error)
{
    static const char *const suffixes[] = {
        [SESSION_LINK] = "", [SESSION_CONSOLE] = ".console", [SESSION_CONTROL] = ".control"};
    size_t length = strlen(address) - strlen(IPC);

    if (length == 0)
        return malformed(address, error);
    if (length + strlen(LONGEST) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
        return error_set(error, ERROR_INPUT, "%.200s: the path of a socket has at most %zu bytes", address,
                         sizeof((struct sockaddr_un *)NULL)->sun_path - strlen(LONGEST) - 1);
    snprintf(to, ADDRESS_MAX, "%s%s", address, suffixes[purpose]);
    return 0;
}

static int tcp_link(const char *address, enum session_purpose purpose, char to[ADDRESS_MAX], struct error *error)
{
    const char *colon = strrchr(address + strlen(TCP), ':');
    char *end = NULL;

    if (!colon || colon == address + strlen(TCP) || colon - address > ADDRESS_MAX - 16 || colon[1] < '0' ||
        colon[1] > '9')
        return malformed(address, error);
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end || port < 1 || port > 65533)
        return error_set(error, ERROR_INPUT, "%.200s: a port from 1 to 65533 is needed, for the next two are used too",
                         address);
    snprintf(to, ADDRESS_MAX, "%.*s:%lu", (int)(colon - address), address, port + (unsigned)purpose - SESSION_LINK);
    return 0;
}

int address_of_link(const char *address, enum session_purpose purpose, char to[ADDRESS_MAX], struct error *error)
{
    if (begins(address, IPC))
        return ipc_link(address, purpose, to, error);
    if (begins(address, TCP))
        return tcp_link(address, purpose, to, error);
    return malformed(address, error);
}

static int directory_is_private(const char *address, struct error *error)
{
    char path[ADDRESS_MAX];
    struct stat status;

    snprintf(path, sizeof path, "%s", address + strlen(IPC));
    const char *directory = dirname(path);
    if (stat(directory, &status) < 0) {
        error_errno(error, "%s: the directory %s", address, directory);
        error->kind = ERROR_INPUT;
        return -1;
    }
    if (status.st_uid == geteuid() && (status.st_mode & 077) == 0)
        return 0;
    return error_set(error, ERROR_INPUT,
                     "%s: without a key (--key, see encore keygen) the socket must be in a directory that is yours "
                     "alone: chmod 700 %s, or another one",
                     address, directory);
}

static bool is_loopback(const char *host)
{
    return begins(host, "127.") || begins(host, "localhost:") || begins(host, "[::1]:");
}

int address_is_private(const char *address, struct error *error)
{
    if (begins(address, IPC))
        return directory_is_private(address, error);
    if (is_loopback(address + strlen(TCP)))
        return 0;
    return error_set(error, ERROR_INPUT,
                     "%s: without a key (--key, see encore keygen) only loopback addresses are allowed", address);
}
