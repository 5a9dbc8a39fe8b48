/* See address.h. */
#include "replication/address.h"

#include <arpa/inet.h>
#include <libgen.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define IPC "ipc://"
#define TCP "tcp://"

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

const char *address_path(const char *text)
{
    return begins(text, IPC) ? text + strlen(IPC) : NULL;
}

static int malformed(const char *text, struct error *error)
{
    return error_set(error, ERROR_INPUT, "%.200s is not an address: ipc://PATH or tcp://HOST:PORT is needed", text);
}

static int find_path(const char *text, struct address *found, struct error *error)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    const char *path = address_path(text);

    if (!*path)
        return malformed(text, error);
    if (strlen(path) >= sizeof where.sun_path)
        return error_set(error, ERROR_INPUT, "%.200s: the path of a socket has at most %zu bytes", text,
                         sizeof where.sun_path - 1);
    strcpy(where.sun_path, path);
    memcpy(&found->where, &where, sizeof where);
    found->length = sizeof where;
    return 1;
}

/* Splits HOST:PORT; brackets around the host go. */
static int split(const char *text, char host[ADDRESS_MAX], const char **port, struct error *error)
{
    const char *begin = text + strlen(TCP), *colon = strrchr(begin, ':');
    char *end = NULL;

    if (!colon || colon == begin || colon - begin >= ADDRESS_MAX - 16 || colon[1] < '0' || colon[1] > '9')
        return malformed(text, error);
    unsigned long number = strtoul(colon + 1, &end, 10);
    if (*end || number < 1 || number > 65535)
        return error_set(error, ERROR_INPUT, "%.200s: a port from 1 to 65535 is needed", text);
    *port = colon + 1;
    size_t length = (size_t)(colon - begin);
    if (*begin == '[' && begin[length - 1] == ']') {
        begin++;
        length -= 2;
    }
    snprintf(host, ADDRESS_MAX, "%.*s", (int)length, begin);
    return 0;
}

static int find_host(const char *text, bool listen, struct address found[ADDRESS_FOUND], struct error *error)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | (listen ? AI_PASSIVE : 0)};
    struct addrinfo *list = NULL;
    char host[ADDRESS_MAX];
    const char *port = NULL;
    int count = 0;

    if (split(text, host, &port, error) < 0)
        return -1;
    bool any = strcmp(host, "*") == 0;
    if (any && !listen)
        return error_set(error, ERROR_INPUT, "%.200s: '*' is for listening only", text);
    if (any)
        hints.ai_family = AF_INET;
    int code = getaddrinfo(any ? NULL : host, port, &hints, &list);
    if (code != 0)
        return error_set(error, code == EAI_AGAIN || code == EAI_SYSTEM ? ERROR_HOST : ERROR_INPUT,
                         "%.200s: the host is not found: %s", text, gai_strerror(code));
    for (const struct addrinfo *at = list; at && count < ADDRESS_FOUND; at = at->ai_next) {
        memcpy(&found[count].where, at->ai_addr, at->ai_addrlen);
        found[count++].length = at->ai_addrlen;
    }
    freeaddrinfo(list);
    return count;
}

int address_find(const char *text, bool listen, struct address found[ADDRESS_FOUND], struct error *error)
{
    if (begins(text, IPC))
        return find_path(text, found, error);
    if (begins(text, TCP))
        return find_host(text, listen, found, error);
    return malformed(text, error);
}

static int directory_is_private(const char *text, struct error *error)
{
    char path[ADDRESS_MAX];
    struct stat status;

    snprintf(path, sizeof path, "%s", address_path(text));
    const char *directory = dirname(path);
    if (stat(directory, &status) < 0) {
        error_errno(error, "%s: the directory %s", text, directory);
        error->kind = ERROR_INPUT;
        return -1;
    }
    if (status.st_uid == geteuid() && (status.st_mode & 077) == 0)
        return 0;
    return error_set(error, ERROR_INPUT,
                     "%s: without a key (--key, see encore keygen) the socket must be in a directory that is yours "
                     "alone: chmod 700 %s, or another one",
                     text, directory);
}

static bool is_loopback(const char *host)
{
    /* A name may begin with 127. too. */
    return (begins(host, "127.") && host[strspn(host, "0123456789.")] == ':') || begins(host, "localhost:") ||
           begins(host, "[::1]:");
}

int address_is_private(const char *text, struct error *error)
{
    if (begins(text, IPC))
        return directory_is_private(text, error);
    if (begins(text, TCP) && is_loopback(text + strlen(TCP)))
        return 0;
    return error_set(error, ERROR_INPUT,
                     "%s: without a key (--key, see encore keygen) only loopback addresses are allowed", text);
}

void address_name_peer(int fd, char *name, size_t size)
{
    struct sockaddr_storage where = {0};
    socklen_t length = sizeof where, ucred_length = sizeof(struct ucred);
    struct ucred peer;
    char host[INET6_ADDRSTRLEN], port[8];

    snprintf(name, size, "somebody");
    if (getpeername(fd, (struct sockaddr *)&where, &length) < 0)
        return;
    if (where.ss_family == AF_UNIX) {
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &ucred_length) == 0)
            snprintf(name, size, "process %d", (int)peer.pid);
        return;
    }
    if (getnameinfo((struct sockaddr *)&where, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(name, size, where.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}
