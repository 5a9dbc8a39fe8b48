/*
 * libcurl, loaded when somebody wants it. Only an arbiter in etcd does; and libcurl brings some thirty libraries more,
 * which would take five megabytes and four milliseconds of every `encore run`.
 */
#ifndef ENCORE_REPLICATION_CURL_LIBRARY_H
#define ENCORE_REPLICATION_CURL_LIBRARY_H

#include <curl/curl.h>

#include "base/error.h"

/* The functions of libcurl that are used, under their own names (libcurl's manual). */
struct curl_library {
    __typeof__(curl_global_init) *global_init;
    __typeof__(curl_easy_init) *easy_init;
    __typeof__(curl_easy_setopt) *easy_setopt;
    __typeof__(curl_easy_perform) *easy_perform;
    __typeof__(curl_easy_getinfo) *easy_getinfo;
    __typeof__(curl_easy_strerror) *easy_strerror;
    __typeof__(curl_easy_cleanup) *easy_cleanup;
};

/* Loads it, for good. Returns 0, or -1 with an ERROR_HOST that says what is missing. */
int curl_library_load(struct curl_library *library, struct error *error);

#endif
