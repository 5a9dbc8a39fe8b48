/*
 * An arbiter in etcd, through its JSON gateway (etcd's documentation, "gRPC gateway", API v3): epoch n is the key
 * KEY/n, n with twenty digits, whose value is its owner's number, in hexadecimal. A claim is one transaction: if the
 * key was never created (create_revision 0), put it; else get it. Keys and values are base64 in JSON.
 */
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication/arbiter_backend.h"
#include "replication/curl_library.h"

#define URL_MAX   512
#define KEY_MAX   256
#define REPLY_MAX (256u * 1024)
#define BASE64    sodium_base64_VARIANT_ORIGINAL

struct arbiter_etcd {
    struct curl_library library;
    CURL *curl; /* NULL: there is none yet */
    char url[URL_MAX], key[KEY_MAX];
    struct bytes_writer reply;
};

static size_t take_reply(char *bytes, size_t size, size_t count, void *context)
{
    struct arbiter_etcd *etcd = context;

    bytes_put(&etcd->reply, bytes, size * count);
    return etcd->reply.failed ? 0 : size * count;
}

static json_t *base64(const char *text)
{
    char encoded[2 * KEY_MAX];

    sodium_bin2base64(encoded, sizeof encoded, (const uint8_t *)text, strlen(text), BASE64);
    return json_string(encoded);
}

static bool decode(const json_t *value, char *to, size_t size)
{
    const char *text = json_string_value(value);
    size_t length = 0;

    if (!text || sodium_base642bin((uint8_t *)to, size - 1, text, strlen(text), NULL, &length, NULL, BASE64) != 0)
        return false;
    to[length] = 0;
    return true;
}

/* Sends a request; gives the answer, or NULL with the reason. Takes the request. */
static json_t *post(struct arbiter_etcd *etcd, const char *what, json_t *request, uint64_t patience,
                    char reason[ARBITER_REASON])
{
    char url[URL_MAX + 32];
    char *body = request ? json_dumps(request, JSON_COMPACT) : NULL;
    long code = 0;

    json_decref(request);
    if (!body) {
        snprintf(reason, ARBITER_REASON, "out of memory");
        return NULL;
    }
    snprintf(url, sizeof url, "%s/v3/kv/%s", etcd->url, what);
    bytes_writer_clear(&etcd->reply);
    etcd->library.easy_setopt(etcd->curl, CURLOPT_URL, url);
    etcd->library.easy_setopt(etcd->curl, CURLOPT_POSTFIELDS, body);
    etcd->library.easy_setopt(etcd->curl, CURLOPT_TIMEOUT_MS, (long)(patience / 1000000));
    CURLcode result = etcd->library.easy_perform(etcd->curl);
    free(body);
    etcd->library.easy_getinfo(etcd->curl, CURLINFO_RESPONSE_CODE, &code);
    if (result != CURLE_OK || code != 200) {
        snprintf(reason, ARBITER_REASON, "%.150s: %s (HTTP status %ld)", url,
                 result == CURLE_OK ? "etcd does not do it" : etcd->library.easy_strerror(result), code);
        return NULL;
    }
    json_t *reply = json_loadb((const char *)etcd->reply.data, etcd->reply.length, 0, NULL);
    if (!reply)
        snprintf(reason, ARBITER_REASON, "%.150s: the answer is not JSON", url);
    return reply;
}

/* Whether the first entry of a range is the node's. */
static bool is_ours(const json_t *range, uint64_t node)
{
    char value[64], expected[32];

    snprintf(expected, sizeof expected, "%016" PRIx64, node);
    return decode(json_object_get(json_array_get(json_object_get(range, "kvs"), 0), "value"), value, sizeof value) &&
           strcmp(value, expected) == 0;
}

static enum replica_answer claim(struct arbiter_etcd *etcd, const char *key, uint64_t node, uint64_t patience,
                                 char reason[ARBITER_REASON])
{
    char value[32];

    snprintf(value, sizeof value, "%016" PRIx64, node);
    json_t *request = json_pack("{s:[{s:s,s:o,s:s}],s:[{s:{s:o,s:o}}],s:[{s:{s:o}}]}", "compare", "target", "CREATE",
                                "key", base64(key), "create_revision", "0", "success", "request_put", "key",
                                base64(key), "value", base64(value), "failure", "request_range", "key", base64(key));
    json_t *reply = post(etcd, "txn", request, patience, reason);
    if (!reply)
        return REPLICA_UNREACHABLE;
    bool won = json_is_true(json_object_get(reply, "succeeded"));
    const json_t *responses = json_object_get(reply, "responses");
    enum replica_answer answer = won ? REPLICA_WON : REPLICA_LOST;
    if (!json_is_array(responses)) {
        snprintf(reason, ARBITER_REASON, "etcd's answer to a transaction has no responses");
        answer = REPLICA_UNREACHABLE;
    } else if (!won && is_ours(json_object_get(json_array_get(responses, 0), "response_range"), node)) {
        answer = REPLICA_WON;
    }
    json_decref(reply);
    return answer;
}

static enum replica_answer verify(struct arbiter_etcd *etcd, const char *key, uint64_t node, uint64_t patience,
                                  char reason[ARBITER_REASON])
{
    json_t *reply = post(etcd, "range", json_pack("{s:o}", "key", base64(key)), patience, reason);

    if (!reply)
        return REPLICA_UNREACHABLE;
    bool ours = is_ours(reply, node);
    json_decref(reply);
    return ours ? REPLICA_WON : REPLICA_LOST;
}

static enum replica_answer latest(struct arbiter_etcd *etcd, uint64_t *epoch, uint64_t patience,
                                  char reason[ARBITER_REASON])
{
    char from[KEY_MAX + 32], to[KEY_MAX + 32], last[2 * KEY_MAX];

    /* '0' comes after '/': the range of all keys below KEY/. */
    snprintf(from, sizeof from, "%s/", etcd->key);
    snprintf(to, sizeof to, "%s0", etcd->key);
    json_t *request = json_pack("{s:o,s:o,s:s,s:s,s:s,s:b}", "key", base64(from), "range_end", base64(to), "sort_order",
                                "DESCEND", "sort_target", "KEY", "limit", "1", "keys_only", 1);
    json_t *reply = post(etcd, "range", request, patience, reason);
    if (!reply)
        return REPLICA_UNREACHABLE;
    const json_t *first = json_array_get(json_object_get(reply, "kvs"), 0);
    *epoch = 0;
    if (decode(json_object_get(first, "key"), last, sizeof last) && strlen(last) > strlen(from))
        *epoch = strtoull(last + strlen(from), NULL, 10);
    json_decref(reply);
    return REPLICA_WON;
}

static enum replica_answer carry_out(void *context, enum arbiter_request request, uint64_t *epoch, uint64_t node,
                                     uint64_t patience, char reason[ARBITER_REASON])
{
    struct arbiter_etcd *etcd = context;
    char key[KEY_MAX + 32];

    snprintf(key, sizeof key, "%s/%020" PRIu64, etcd->key, *epoch);
    switch (request) {
    case ARBITER_CLAIM:
        return claim(etcd, key, node, patience, reason);
    case ARBITER_VERIFY:
        return verify(etcd, key, node, patience, reason);
    case ARBITER_LATEST:
        return latest(etcd, epoch, patience, reason);
    }
    return REPLICA_UNREACHABLE;
}

static void etcd_close(void *context)
{
    struct arbiter_etcd *etcd = context;

    if (etcd->curl)
        etcd->library.easy_cleanup(etcd->curl);
    bytes_writer_free(&etcd->reply);
    free(etcd);
}

static int prepare(struct arbiter_etcd *etcd, struct error *error)
{
    const struct curl_library *library = &etcd->library;

    if (curl_library_load(&etcd->library, error) < 0)
        return -1;
    if (sodium_init() < 0 || library->global_init(CURL_GLOBAL_DEFAULT) != 0 || !(etcd->curl = library->easy_init()))
        return error_set(error, ERROR_HOST, "libcurl does not start");
    library->easy_setopt(etcd->curl, CURLOPT_NOSIGNAL, 1L);
    library->easy_setopt(etcd->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    library->easy_setopt(etcd->curl, CURLOPT_WRITEFUNCTION, take_reply);
    library->easy_setopt(etcd->curl, CURLOPT_WRITEDATA, etcd);
    return 0;
}

int arbiter_etcd_open(const char *specification, struct arbiter_backend *backend, struct error *error)
{
    const char *comma = strrchr(specification, ',');
    size_t url = comma ? (size_t)(comma - specification) : 0;

    if (!comma || url == 0 || url >= URL_MAX || comma[1] == 0 || strlen(comma + 1) >= KEY_MAX / 2 ||
        (strncmp(specification, "http://", 7) != 0 && strncmp(specification, "https://", 8) != 0))
        return error_set(error, ERROR_INPUT, "the arbiter etcd:%.100s needs the form etcd:http://HOST:PORT,KEY",
                         specification);
    struct arbiter_etcd *etcd = calloc(1, sizeof *etcd);
    if (!etcd)
        return error_set(error, ERROR_HOST, "out of memory");
    memcpy(etcd->url, specification, url);
    while (url > 0 && etcd->url[url - 1] == '/')
        etcd->url[--url] = 0;
    snprintf(etcd->key, sizeof etcd->key, "%s", comma + 1);
    etcd->reply = bytes_writer(REPLY_MAX);
    if (prepare(etcd, error) < 0) {
        etcd_close(etcd);
        return -1;
    }
    *backend = (struct arbiter_backend){.context = etcd, .carry_out = carry_out, .close = etcd_close};
    return 0;
}
