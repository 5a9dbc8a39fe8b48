/*
 * An arbiter in etcd, through its JSON gateway (etcd's documentation, "gRPC gateway", API v3): epoch n is the key
 * KEY/n, n with twenty digits, whose value is its owner's number, in hexadecimal. A claim is one transaction: if the
 * key was never created (create_revision 0), and the epoch before has the right owner, put it; and get both. Keys and
 * values are base64 in JSON.
 */
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication/arbiter_backend.h"
#include "replication/curl_library.h"

#define URL_MAX        512
#define KEY_MAX        256
#define REPLY_MAX      (256u * 1024)
#define ADMIN_PATIENCE UINT64_C(5000000000)
#define BASE64         sodium_base64_VARIANT_ORIGINAL
#define EPOCH_DIGITS   20

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

/* The owner by the first entry of a range; 0: there is none. */
static uint64_t owner_of(const json_t *range)
{
    const json_t *first = json_array_get(json_object_get(range, "kvs"), 0);
    char value[64];

    if (!first)
        return 0;
    return decode(json_object_get(first, "value"), value, sizeof value) ? arbiter_read_record(value, strlen(value))
                                                                        : ARBITER_NONSENSE;
}

static void key_of(const struct arbiter_etcd *etcd, uint64_t epoch, char key[KEY_MAX + 32])
{
    snprintf(key, KEY_MAX + 32, "%s/%020" PRIu64, etcd->key, epoch);
}

static json_t *ask_range(const char *key)
{
    return json_pack("{s:{s:o}}", "request_range", "key", base64(key));
}

/* Sends a transaction whose last two responses are the ranges of two keys, and reads their owners. */
static bool transact(struct arbiter_etcd *etcd, json_t *transaction, bool *succeeded, uint64_t owners[2],
                     uint64_t patience, char reason[ARBITER_REASON])
{
    json_t *reply = post(etcd, "txn", transaction, patience, reason);

    if (!reply)
        return false;
    const json_t *responses = json_object_get(reply, "responses");
    bool whole = json_array_size(responses) >= 2;
    *succeeded = json_is_true(json_object_get(reply, "succeeded"));
    for (size_t n = 0; n < 2 && whole; n++) {
        const json_t *response = json_array_get(responses, json_array_size(responses) - 2 + n);
        owners[n] = owner_of(json_object_get(response, "response_range"));
    }
    json_decref(reply);
    if (!whole)
        snprintf(reason, ARBITER_REASON, "etcd's answer to a transaction has too few responses");
    return whole;
}

/* One transaction: if the epoch has no record, and the epoch before has the right one, put it; and look at both. */
static enum replica_answer claim(struct arbiter_etcd *etcd, const struct arbiter_question *question, uint64_t patience,
                                 char reason[ARBITER_REASON])
{
    char key[KEY_MAX + 32], before[KEY_MAX + 32], value[ARBITER_RECORD + 1], owner[ARBITER_RECORD + 1];
    uint64_t owners[2];
    bool given;

    key_of(etcd, question->epoch, key);
    key_of(etcd, question->epoch - 1, before);
    arbiter_write_record(question->node, value);
    arbiter_write_record(question->owner, owner);
    json_t *conditions = json_pack("[{s:s,s:o,s:s}]", "target", "CREATE", "key", base64(key), "create_revision", "0");
    if (question->owner)
        json_array_append_new(
            conditions, json_pack("{s:s,s:o,s:o}", "target", "VALUE", "key", base64(before), "value", base64(owner)));
    json_t *transaction = json_pack("{s:o,s:[{s:{s:o,s:o}},o,o],s:[o,o]}", "compare", conditions, "success",
                                    "request_put", "key", base64(key), "value", base64(value), ask_range(before),
                                    ask_range(key), "failure", ask_range(before), ask_range(key));
    if (!transact(etcd, transaction, &given, owners, patience, reason))
        return REPLICA_UNREACHABLE;
    if (given && owners[1] != question->node) {
        snprintf(reason, ARBITER_REASON, "etcd says that it put a record, and has another");
        return REPLICA_UNREACHABLE;
    }
    return arbiter_judge(question, owners[0], owners[1]);
}

static enum replica_answer answer(struct arbiter_etcd *etcd, const struct arbiter_question *question, uint64_t patience,
                                  char reason[ARBITER_REASON])
{
    char key[KEY_MAX + 32], before[KEY_MAX + 32];
    uint64_t owners[2];
    bool succeeded;

    key_of(etcd, question->epoch, key);
    key_of(etcd, question->epoch - 1, before);
    json_t *transaction = json_pack("{s:[o,o]}", "success", ask_range(before), ask_range(key));
    if (!transact(etcd, transaction, &succeeded, owners, patience, reason))
        return REPLICA_UNREACHABLE;
    return arbiter_judge(question, owners[0], owners[1]);
}

/* The range of all records: from epoch 0 to what no digit is greater than (':' comes after '9'). So what lies below
 * KEY/ and is not ours, such as the records of an arbiter KEY/NAME, is not in it, or, where NAME begins with a digit,
 * stands above ours, where epoch_of finds it. */
static void range_of_records(const struct arbiter_etcd *etcd, char from[KEY_MAX + 32], char to[KEY_MAX + 32])
{
    key_of(etcd, 0, from);
    snprintf(to, KEY_MAX + 32, "%s/:", etcd->key);
}

/* The request for records, latest first. */
static json_t *ask_records(const struct arbiter_etcd *etcd, const char *limit)
{
    char from[KEY_MAX + 32], to[KEY_MAX + 32];

    range_of_records(etcd, from, to);
    return json_pack("{s:o,s:o,s:s,s:s,s:s}", "key", base64(from), "range_end", base64(to), "sort_order", "DESCEND",
                     "sort_target", "KEY", "limit", limit);
}

/* Of a record's key. False: it is none, for a reason. */
static bool epoch_of(const struct arbiter_etcd *etcd, const json_t *record, uint64_t *epoch,
                     char reason[ARBITER_REASON])
{
    size_t start = strlen(etcd->key) + 1;
    char key[2 * KEY_MAX] = "";

    bool text = decode(json_object_get(record, "key"), key, sizeof key);
    if (text && strlen(key) == start + EPOCH_DIGITS && strspn(key + start, "0123456789") == EPOCH_DIGITS) {
        *epoch = strtoull(key + start, NULL, 10);
        return true;
    }
    snprintf(reason, ARBITER_REASON,
             "etcd has the key %.150s, which is no record of this arbiter: give it a key of its own", key);
    return false;
}

static enum replica_answer latest(struct arbiter_etcd *etcd, uint64_t *epoch, uint64_t patience,
                                  char reason[ARBITER_REASON])
{
    json_t *reply = post(etcd, "range", ask_records(etcd, "1"), patience, reason);

    if (!reply)
        return REPLICA_UNREACHABLE;
    const json_t *first = json_array_get(json_object_get(reply, "kvs"), 0);
    *epoch = 0;
    bool known = !first || epoch_of(etcd, first, epoch, reason);
    json_decref(reply);
    return known ? REPLICA_WON : REPLICA_UNREACHABLE;
}

static enum replica_answer carry_out(void *context, const struct arbiter_question *question, uint64_t *epoch,
                                     uint64_t patience, char reason[ARBITER_REASON])
{
    struct arbiter_etcd *etcd = context;

    switch (question->request) {
    case ARBITER_CLAIM:
        return claim(etcd, question, patience, reason);
    case ARBITER_VERIFY:
    case ARBITER_DOUBT:
        return answer(etcd, question, patience, reason);
    case ARBITER_LATEST:
        return latest(etcd, epoch, patience, reason);
    }
    return REPLICA_UNREACHABLE;
}

static int list(void *context, struct arbiter_list *list, struct error *error)
{
    struct arbiter_etcd *etcd = context;
    char reason[ARBITER_REASON], limit[16];
    const json_t *record;
    size_t at;

    snprintf(limit, sizeof limit, "%d", ARBITER_LISTED);
    json_t *reply = post(etcd, "range", ask_records(etcd, limit), ADMIN_PATIENCE, reason);
    if (!reply)
        return error_set(error, ERROR_HOST, "%s", reason);
    json_array_foreach(json_object_get(reply, "kvs"), at, record)
    {
        char value[64];
        uint64_t epoch;
        bool text = decode(json_object_get(record, "value"), value, sizeof value);
        if (!epoch_of(etcd, record, &epoch, reason)) {
            json_decref(reply);
            return error_set(error, ERROR_HOST, "%s", reason);
        }
        arbiter_list_add(list, epoch, text ? arbiter_read_record(value, strlen(value)) : ARBITER_NONSENSE);
    }
    /* Numbers of 64 bits are strings in etcd's JSON. */
    const char *count = json_string_value(json_object_get(reply, "count"));
    if (count)
        list->total = strtoull(count, NULL, 10);
    json_decref(reply);
    return 0;
}

static int put(void *context, uint64_t epoch, uint64_t owner, struct error *error)
{
    const struct arbiter_question question = {.request = ARBITER_CLAIM, .epoch = epoch, .node = owner};
    char reason[ARBITER_REASON];
    enum replica_answer answer = claim(context, &question, ADMIN_PATIENCE, reason);

    if (answer == REPLICA_UNREACHABLE)
        return error_set(error, ERROR_HOST, "%s", reason);
    return answer == REPLICA_WON ? 0 : error_set(error, ERROR_INPUT, "somebody has just made a record of this epoch");
}

static int clear(void *context, struct error *error)
{
    struct arbiter_etcd *etcd = context;
    char from[KEY_MAX + 32], to[KEY_MAX + 32], reason[ARBITER_REASON];

    range_of_records(etcd, from, to);
    json_t *reply = post(etcd, "deleterange", json_pack("{s:o,s:o}", "key", base64(from), "range_end", base64(to)),
                         ADMIN_PATIENCE, reason);
    if (!reply)
        return error_set(error, ERROR_HOST, "%s", reason);
    json_decref(reply);
    return 0;
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
    *backend = (struct arbiter_backend){
        .context = etcd, .carry_out = carry_out, .list = list, .put = put, .clear = clear, .close = etcd_close};
    return 0;
}
