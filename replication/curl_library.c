/* See curl_library.h. */
#include "replication/curl_library.h"

#include <dlfcn.h>

/* The library's name with the number of its interface, as its headers belong to it. */
#define CURL_LIBRARY "libcurl.so.4"

int curl_library_load(struct curl_library *library, struct error *error)
{
    const struct {
        const char *name;
        void *to; /* a pointer to a function */
    } functions[] = {
        {"curl_global_init", &library->global_init},   {"curl_easy_init", &library->easy_init},
        {"curl_easy_setopt", &library->easy_setopt},   {"curl_easy_perform", &library->easy_perform},
        {"curl_easy_getinfo", &library->easy_getinfo}, {"curl_easy_strerror", &library->easy_strerror},
        {"curl_easy_cleanup", &library->easy_cleanup},
    };
    /* Once loaded it stays: curl_global_init must not be undone while others may use what it set up. */
    void *handle = dlopen(CURL_LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (!handle)
        return error_set(error, ERROR_HOST,
                         "etcd is reached through libcurl, which cannot be loaded (Debian has it in libcurl4): %s",
                         dlerror());
    for (size_t n = 0; n < sizeof functions / sizeof functions[0]; n++) {
        void *found = dlsym(handle, functions[n].name);
        if (!found)
            return error_set(error, ERROR_HOST, "%s lacks the function %s", CURL_LIBRARY, functions[n].name);
        *(void **)functions[n].to = found; /* as dlsym(3) has it */
    }
    return 0;
}
