/* The arbiter's rule, and the arbiter of files: records that are there, missing, somebody else's, or no records. */
#include "tests/unit/host_testing.h"

#include <sys/stat.h>

#include "replication/arbiter_backend.h"

#define US    UINT64_C(0xa1)
#define PEER  UINT64_C(0xb3)
#define OTHER UINT64_C(0xc5)

static void a_claim_rests_on_the_epoch_before(void **state)
{
    static const struct {
        uint64_t before, here;
        bool gives;
        enum replica_answer answer;
    } rows[] = {
        {US, 0, true, REPLICA_LOST}, /* as long as it is not made */
        {US, US, false, REPLICA_WON},
        {US, PEER, false, REPLICA_LOST},
        {US, OTHER, false, REPLICA_LOST},
        {0, 0, false, REPLICA_FORGOTTEN},
        {0, US, false, REPLICA_WON}, /* it was made when the one before was there */
        {0, PEER, false, REPLICA_LOST},
        {0, OTHER, false, REPLICA_FORGOTTEN},
        {OTHER, 0, false, REPLICA_FORGOTTEN},
        {OTHER, OTHER, false, REPLICA_FORGOTTEN},
        {ARBITER_NONSENSE, 0, false, REPLICA_FORGOTTEN},
        {US, ARBITER_NONSENSE, false, REPLICA_LOST},
    };
    struct arbiter_question claim = {.request = ARBITER_CLAIM, .epoch = 5, .node = US, .owner = US, .rival = PEER};

    (void)state;
    for (size_t n = 0; n < sizeof rows / sizeof rows[0]; n++) {
        assert_int_equal(arbiter_may_give(&claim, rows[n].before, rows[n].here), rows[n].gives);
        assert_int_equal(arbiter_judge(&claim, rows[n].before, rows[n].here), rows[n].answer);
    }
    /* The first epoch of a machine. */
    claim.owner = claim.rival = 0;
    assert_true(arbiter_may_give(&claim, 0, 0));
    assert_false(arbiter_may_give(&claim, 0, OTHER));
    assert_int_equal(arbiter_judge(&claim, 0, OTHER), REPLICA_LOST);
}

static void nothing_known_is_no_answer(void **state)
{
    struct arbiter_question doubt = {.request = ARBITER_DOUBT, .epoch = 5, .node = PEER, .owner = US};
    struct arbiter_question verify = {.request = ARBITER_VERIFY, .epoch = 4, .node = US};

    (void)state;
    assert_int_equal(arbiter_judge(&doubt, US, 0), REPLICA_LOST);
    assert_int_equal(arbiter_judge(&doubt, US, PEER), REPLICA_WON);
    assert_int_equal(arbiter_judge(&doubt, 0, PEER), REPLICA_WON);
    assert_int_equal(arbiter_judge(&doubt, 0, 0), REPLICA_FORGOTTEN);
    assert_int_equal(arbiter_judge(&doubt, OTHER, 0), REPLICA_FORGOTTEN);
    assert_int_equal(arbiter_judge(&verify, 0, US), REPLICA_WON);
    assert_int_equal(arbiter_judge(&verify, 0, OTHER), REPLICA_LOST);
    assert_int_equal(arbiter_judge(&verify, 0, 0), REPLICA_FORGOTTEN);
}

static void a_record_is_its_sixteen_digits(void **state)
{
    char text[ARBITER_RECORD + 1];

    (void)state;
    arbiter_write_record(UINT64_C(0x123456789abcdef1), text);
    assert_string_equal(text, "123456789abcdef1");
    assert_int_equal(arbiter_read_record(text, 16), UINT64_C(0x123456789abcdef1));
    assert_int_equal(arbiter_read_record(text, 15), ARBITER_NONSENSE);
    assert_int_equal(arbiter_read_record("0000000000000000", 16), ARBITER_NONSENSE);
    assert_int_equal(arbiter_read_record("00000000000000AB", 16), ARBITER_NONSENSE);
    assert_int_equal(arbiter_read_record("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16), ARBITER_NONSENSE);
}

struct files {
    char directory[64], specification[160];
    struct arbiter_backend backend;
};

static void open_files(struct files *files)
{
    struct error error;

    snprintf(files->directory, sizeof files->directory, "/tmp/encore-arbiter-XXXXXX");
    assert_non_null(mkdtemp(files->directory));
    snprintf(files->specification, sizeof files->specification, "file:%s/a", files->directory);
    assert_int_equal(arbiter_backend_open(files->specification, &files->backend, &error), 0);
}

static void path_of(const struct files *files, const char *epoch, char path[160])
{
    snprintf(path, 160, "%s/a.%s", files->directory, epoch);
}

static void remove_record(const struct files *files, const char *epoch)
{
    char path[160];

    path_of(files, epoch, path);
    assert_int_equal(unlink(path), 0);
}

static void write_record(const struct files *files, const char *epoch, const char *text)
{
    char path[160];

    path_of(files, epoch, path);
    FILE *stream = fopen(path, "w");
    assert_non_null(stream);
    assert_true(fputs(text, stream) >= 0);
    assert_int_equal(fclose(stream), 0);
}

static void close_files(struct files *files)
{
    struct error error;
    uint64_t removed;
    struct arbiter_list list;

    assert_int_equal(arbiter_list(files->specification, &list, &error), 0);
    if (list.count)
        assert_int_equal(arbiter_forget(files->specification, list.records[0].epoch, &removed, &error), 0);
    files->backend.close(files->backend.context);
    /* Nothing is left: no record, and no temporary file. */
    assert_int_equal(rmdir(files->directory), 0);
}

static enum replica_answer ask(const struct files *files, enum arbiter_request request, uint64_t epoch, uint64_t node,
                               uint64_t owner)
{
    struct arbiter_question question = {.request = request, .epoch = epoch, .node = node, .owner = owner};
    char reason[ARBITER_REASON] = "";
    uint64_t latest = 0;

    return files->backend.carry_out(files->backend.context, &question, &latest, 1000000000, reason);
}

static void files_remember(void **state)
{
    struct files files;

    (void)state;
    open_files(&files);
    assert_int_equal(ask(&files, ARBITER_CLAIM, 1, US, 0), REPLICA_WON);
    assert_int_equal(ask(&files, ARBITER_CLAIM, 1, OTHER, 0), REPLICA_LOST);
    assert_int_equal(ask(&files, ARBITER_CLAIM, 2, PEER, OTHER), REPLICA_FORGOTTEN);
    assert_int_equal(ask(&files, ARBITER_CLAIM, 2, PEER, US), REPLICA_WON);
    assert_int_equal(ask(&files, ARBITER_CLAIM, 2, PEER, US), REPLICA_WON);
    assert_int_equal(ask(&files, ARBITER_CLAIM, 2, US, US), REPLICA_LOST);
    assert_int_equal(ask(&files, ARBITER_DOUBT, 2, PEER, US), REPLICA_WON);
    assert_int_equal(ask(&files, ARBITER_DOUBT, 3, US, PEER), REPLICA_LOST);
    close_files(&files);
}

static void files_that_are_gone_decide_nothing(void **state)
{
    struct files files;

    (void)state;
    open_files(&files);
    assert_int_equal(ask(&files, ARBITER_CLAIM, 1, US, 0), REPLICA_WON);
    assert_int_equal(ask(&files, ARBITER_CLAIM, 2, PEER, US), REPLICA_WON);
    remove_record(&files, "2");
    assert_int_equal(ask(&files, ARBITER_VERIFY, 2, PEER, 0), REPLICA_FORGOTTEN);
    assert_int_equal(ask(&files, ARBITER_CLAIM, 3, PEER, PEER), REPLICA_FORGOTTEN);
    assert_int_equal(ask(&files, ARBITER_DOUBT, 3, US, PEER), REPLICA_FORGOTTEN);
    remove_record(&files, "1");
    assert_int_equal(ask(&files, ARBITER_CLAIM, 2, US, US), REPLICA_FORGOTTEN);
    write_record(&files, "1", "not a record\n");
    assert_int_equal(ask(&files, ARBITER_CLAIM, 2, US, US), REPLICA_FORGOTTEN);
    assert_int_equal(ask(&files, ARBITER_CLAIM, 1, US, 0), REPLICA_LOST);
    write_record(&files, "1", "");
    assert_int_equal(ask(&files, ARBITER_VERIFY, 1, US, 0), REPLICA_LOST);
    close_files(&files);
    /* Storage that is not there at all has forgotten nothing. */
    struct arbiter_backend away;
    struct error error;
    assert_int_equal(arbiter_backend_open(files.specification, &away, &error), 0);
    files.backend = away;
    assert_int_equal(ask(&files, ARBITER_VERIFY, 1, US, 0), REPLICA_UNREACHABLE);
    assert_int_equal(ask(&files, ARBITER_CLAIM, 2, US, US), REPLICA_UNREACHABLE);
    away.close(away.context);
}

static void an_operator_puts_it_right(void **state)
{
    struct arbiter_list list;
    struct files files;
    struct error error;
    uint64_t removed;

    (void)state;
    open_files(&files);
    assert_int_equal(arbiter_reset(files.specification, 7, US, &error), 0);
    assert_int_equal(ask(&files, ARBITER_CLAIM, 8, PEER, US), REPLICA_WON);
    assert_int_equal(arbiter_reset(files.specification, 7, US, &error), -1);
    assert_int_equal(error.kind, ERROR_INPUT);
    assert_int_equal(arbiter_reset(files.specification, 8, US, &error), -1);
    assert_int_equal(arbiter_list(files.specification, &list, &error), 0);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.records[0].epoch, 8);
    assert_int_equal(list.records[0].owner, PEER);
    assert_int_equal(arbiter_forget(files.specification, 7, &removed, &error), -1);
    assert_int_equal(error.kind, ERROR_INPUT);
    assert_int_equal(arbiter_forget(files.specification, 8, &removed, &error), 0);
    assert_int_equal(removed, 2);
    close_files(&files);
}

static void many_records_are_listed_by_the_latest(void **state)
{
    struct arbiter_list list = {0};

    (void)state;
    for (uint64_t n = 1; n <= 500; n++)
        arbiter_list_add(&list, n * 17 % 501, n);
    assert_int_equal(list.total, 500);
    assert_int_equal(list.count, ARBITER_LISTED);
    for (size_t n = 0; n < list.count; n++)
        assert_int_equal(list.records[n].epoch, 500 - n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_claim_rests_on_the_epoch_before),     cmocka_unit_test(nothing_known_is_no_answer),
        cmocka_unit_test(a_record_is_its_sixteen_digits),        cmocka_unit_test(files_remember),
        cmocka_unit_test(files_that_are_gone_decide_nothing),    cmocka_unit_test(an_operator_puts_it_right),
        cmocka_unit_test(many_records_are_listed_by_the_latest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
