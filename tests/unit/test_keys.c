/* Key files: what is in them, who may read them, and which are refused (keys.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "replication/keys.h"

static char directory[64];

static const char *path_of(const char *name)
{
    static char path[4][96];
    static unsigned next;
    char *to = path[next++ % 4];

    snprintf(to, sizeof path[0], "%s/%s", directory, name);
    return to;
}

static int begin(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/test_keys.%d", getpid());
    return mkdir(directory, 0700);
}

static int end(void **state)
{
    static const char *const names[] = {"master", "other", "backup", "console", "operator", "text"};

    (void)state;
    for (unsigned n = 0; n < sizeof names / sizeof names[0]; n++)
        unlink(path_of(names[n]));
    return rmdir(directory);
}

static void make_all(struct keys *master)
{
    struct error error;

    assert_int_equal(keys_write_master(path_of("master"), &error), 0);
    assert_int_equal(keys_read(NULL, path_of("master"), KEY_MASTER, master, &error), 0);
    for (unsigned role = KEY_BACKUP; role < KEY_ROLES; role++)
        assert_int_equal(keys_write_role(path_of(key_role_name(role)), master, role, &error), 0);
}

static void a_role_holds_its_key_and_nothing_else(void **state)
{
    static const uint8_t none[KEY_SIZE];
    struct keys master, keys;
    struct error error;

    (void)state;
    make_all(&master);
    assert_int_equal(master.role, KEY_MASTER);
    for (unsigned role = KEY_BACKUP; role < KEY_ROLES; role++) {
        assert_int_equal(keys_read(NULL, path_of(key_role_name(role)), role, &keys, &error), 0);
        assert_int_equal(keys.role, role);
        assert_memory_equal(keys.machine, master.machine, KEY_SIZE);
        assert_memory_equal(keys.machine_secret, none, KEY_SIZE);
        for (unsigned other = KEY_MASTER; other < KEY_ROLES; other++) {
            assert_memory_equal(keys.of_role[other], other == role ? master.of_role[role] : none, KEY_SIZE);
            assert_true(other == role || memcmp(master.of_role[other], master.of_role[role], KEY_SIZE) != 0);
        }
    }
}

/* Each key file for each need. */
static void a_wrong_role_is_refused_with_a_sentence(void **state)
{
    struct keys master, keys;
    struct error error;

    (void)state;
    make_all(&master);
    for (unsigned role = KEY_MASTER; role < KEY_ROLES; role++) {
        for (unsigned needed = KEY_MASTER; needed < KEY_ROLES; needed++) {
            bool good = role == KEY_MASTER || role == needed;
            assert_int_equal(keys_read(NULL, path_of(key_role_name(role)), needed, &keys, &error), good ? 0 : -1);
            if (good)
                continue;
            assert_int_equal(error.kind, ERROR_INPUT);
            assert_non_null(strstr(error.text, key_role_name(role)));
            assert_non_null(strstr(error.text, key_role_name(needed)));
        }
    }
}

static void what_others_may_read_is_refused(void **state)
{
    struct keys keys;
    struct error error;

    (void)state;
    make_all(&keys);
    for (mode_t mode = 1; mode < 0100; mode <<= 1) {
        assert_int_equal(chmod(path_of("console"), 0600 | mode), 0);
        assert_int_equal(keys_read(NULL, path_of("console"), KEY_CONSOLE, &keys, &error), -1);
        assert_non_null(strstr(error.text, "only its owner"));
    }
    assert_int_equal(keys_write_master(path_of("console"), &error), -1);
    assert_int_equal(error.kind, ERROR_INPUT);
}

static void what_is_no_key_is_refused(void **state)
{
    static const char digits[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    static const struct {
        const char *before, *between, *after;
        unsigned keys;
    } bad[] = {
        {"", "", "", 0},
        {"", "", "0", 1},
        {"", "", " ", 1},
        {" ", "", "", 1},
        {"x", "", "", 1},
        {"", "", "", 2},
        {"encore-key console ", "", "", 1},
        {"encore-key console ", "", "", 2},
        {"encore-key console ", " ", "0", 2},
        {"encore-key king ", " ", "", 2},
        {"encore-key master ", " ", "", 2},
        {"encore-key ", " ", "", 2},
        {"encore-key consoleconsoleconsole ", " ", "", 2},
        {"encore-key console ", " ", "\n\n", 2},
    };
    struct keys keys;
    struct error error;

    (void)state;
    for (unsigned n = 0; n < sizeof bad / sizeof bad[0]; n++) {
        FILE *file = fopen(path_of("text"), "w");
        assert_non_null(file);
        assert_int_equal(chmod(path_of("text"), 0600), 0);
        fprintf(file, "%s%s%s%s%s\n", bad[n].before, bad[n].keys > 0 ? digits : "", bad[n].between,
                bad[n].keys > 1 ? digits : "", bad[n].after);
        fclose(file);
        assert_int_equal(keys_read(NULL, path_of("text"), KEY_CONSOLE, &keys, &error), -1);
        assert_int_equal(error.kind, ERROR_INPUT);
        assert_non_null(strstr(error.text, "not a key"));
    }
    assert_int_equal(keys_read(NULL, path_of("other"), KEY_CONSOLE, &keys, &error), -1);
    assert_int_equal(error.kind, ERROR_INPUT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_role_holds_its_key_and_nothing_else, begin, end),
        cmocka_unit_test_setup_teardown(a_wrong_role_is_refused_with_a_sentence, begin, end),
        cmocka_unit_test_setup_teardown(what_others_may_read_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_key_is_refused, begin, end),
    };

    return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
