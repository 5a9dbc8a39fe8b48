/* Input scripts: their grammar, their faults, and their playing against a plain model. */
#include "tests/unit/host_testing.h"

#include "tests/unit/device_testing.h"
#include "vmm/host/script.h"

static struct script *try_open(void **state, const void *text, size_t length, struct error *error)
{
    char path[PATH_ROOM];

    place_write(state, "script", text, length, path);
    *error = (struct error){0};
    struct script *script = script_open(NULL, path, error);
    place_remove(state, "script");
    return script;
}

static struct script *open_text(void **state, const char *text)
{
    struct error error;
    struct script *script = try_open(state, text, strlen(text), &error);

    if (!script)
        fail_msg("%s", error.text);
    return script;
}

static void print(struct script *script, const char *text)
{
    script_output(script, (const uint8_t *)text, strlen(text));
}

/* The script gives exactly these bytes now, and no more. */
static void gives_bytes(struct script *script, const void *expected, size_t length)
{
    uint8_t bytes[256];

    assert_int_equal(script_ready(script), length > 0);
    assert_int_equal(script_read(script, bytes, sizeof bytes), length);
    assert_memory_equal(bytes, expected, length);
    assert_false(script_ready(script));
}

static void gives(struct script *script, const char *expected)
{
    gives_bytes(script, expected, strlen(expected));
}

static void sends_and_ends(void **state)
{
    struct script *script = open_text(state, "# a comment\n\n  \t \nsend \"a\\n\\r\\t\\\\\\\"\\x00\\xfF%d#\"  \n"
                                             "line  b \\n %d \"\nline\n\tline c");

    assert_false(script_ended(script));
    gives_bytes(script, "a\n\r\t\\\"\0\xff%d# b \\n %d \"\n\nc\n", 25);
    assert_true(script_ended(script));
    script_free(script);

    script = open_text(state, "");
    assert_true(script_ended(script));
    gives(script, "");
    script_free(script);

    script = open_text(state, "send \"\"\nsend \"\"");
    assert_true(script_ended(script));
    script_free(script);
}

static void reads_in_pieces(void **state)
{
    struct script *script = open_text(state, "send \"abc\"\nsend \"de\"\nwait \"x\"\nsend \"f\"");
    uint8_t bytes[4];

    assert_int_equal(script_read(script, bytes, 0), 0);
    assert_int_equal(script_read(script, bytes, 4), 4);
    assert_memory_equal(bytes, "abcd", 4);
    print(script, "x");
    assert_int_equal(script_read(script, bytes, 4), 2);
    assert_memory_equal(bytes, "ef", 2);
    assert_true(script_ended(script));
    script_free(script);
}

static void waits(void **state)
{
    struct script *script = open_text(state, "wait \"login: \"\nline root\nwait \"$\\n\"\nwait \"$\"\nline ls");
    unsigned line = 0;

    assert_string_equal(script_waiting(script, &line), "login: ");
    assert_int_equal(line, 1);
    gives(script, "");
    print(script, "a login");
    gives(script, "");
    print(script, ": ");
    assert_null(script_waiting(script, &line));
    gives(script, "root\n");
    assert_string_equal(script_waiting(script, &line), "$\\n");
    assert_int_equal(line, 3);
    /* The second wait wants a $ of its own. */
    print(script, "$\n");
    assert_int_equal(line, 3);
    gives(script, "");
    script_waiting(script, &line);
    assert_int_equal(line, 4);
    print(script, "$");
    gives(script, "ls\n");
    assert_true(script_ended(script));
    print(script, "anything");
    script_free(script);
}

/* Output that came while the script was still sending counts. */
static void waits_look_back_to_the_last_match(void **state)
{
    struct script *script = open_text(state, "send \"abc\"\nwait \"x\"\nsend \"d\"\nwait \"y\"\nsend \"e\"");

    print(script, "yx");
    gives(script, "abcd");
    print(script, "y");
    gives(script, "e");
    script_free(script);
}

static void shows_what_is_waited_for(void **state)
{
    struct script *script = open_text(state, "repeat 2\nwait \"\\x1b[%d\\\"\\\\\\r\\n\"\nend");
    unsigned line = 0;

    assert_string_equal(script_waiting(script, &line), "\\x1b[1\\\"\\\\\\x0d\\n");
    print(script, "\x1b[1\"\\\r\n");
    assert_string_equal(script_waiting(script, &line), "\\x1b[2\\\"\\\\\\x0d\\n");
    assert_int_equal(line, 2);
    print(script, "\x1b[2\"\\\r\n");
    assert_null(script_waiting(script, &line));
    assert_true(script_ended(script));
    script_free(script);
}

static void repeats(void **state)
{
    struct script *script = open_text(state, "repeat 10\n  send \"%d%d,\"\n  send \"\\x25d;\"\nend\nsend \"%d\"");

    gives(script, "11,%d;22,%d;33,%d;44,%d;55,%d;66,%d;77,%d;88,%d;99,%d;1010,%d;%d");
    script_free(script);

    script = open_text(state, "repeat 2\nsend \"<%d\"\nrepeat 3\nline %d\nend\nsend \"%d>\"\nend\n");
    gives(script, "<11\n2\n3\n1><21\n2\n3\n2>");
    assert_true(script_ended(script));
    script_free(script);

    script = open_text(state, "repeat 1\nrepeat 1\nrepeat 1\nrepeat 2\nrepeat 1\nrepeat 1\nrepeat 1\nrepeat 2\n"
                              "send \"%d\"\nend\nend\nend\nend\nend\nend\nend\nend\n");
    gives(script, "1212");
    script_free(script);
}

static void sends_files(void **state)
{
    char path[PATH_ROOM], text[2 * PATH_ROOM];

    place_write(state, "f1", "one", 3, path);
    place_write(state, "f2", "two\0", 4, path);
    place_write(state, "empty", "", 0, path);
    struct script *script = open_text(state, "file \"f2\"\nfile \"empty\"\nrepeat 2\nfile \"f%d\"\nfile \"f1\"\nend");
    gives_bytes(script, "two\0oneonetwo\0one", 17);
    script_free(script);
    snprintf(text, sizeof text, "file \"%s\"", place_path(state, "f1", path));
    script = open_text(state, text);
    gives(script, "one");
    script_free(script);

    struct error error;
    const char *missing = "send \"a\"\nrepeat 3\nfile \"f%d\"\nend";
    assert_null(try_open(state, missing, strlen(missing), &error));
    assert_int_equal(error.kind, ERROR_INPUT);
    assert_non_null(strstr(error.text, "script:3: "));
    assert_non_null(strstr(error.text, "/f3: No such file"));
    place_remove(state, "f1");
    place_remove(state, "f2");
    place_remove(state, "empty");
}

/* As editors of other systems write text: a carriage return before each newline, a byte order mark before all. */
static void takes_text_of_other_systems(void **state)
{
    static const char *const texts[] = {
        "\xef\xbb\xbfline a\r\n\r\n# c\r\nrepeat 2\r\nsend \"%d\\r\"\r\nend\r\nline  b\r",
        "line a\r\n\nrepeat 2\nsend \"%d\\r\"\r\nend\nline  b",
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct script *script = open_text(state, texts[i]);
        gives(script, "a\n1\r2\r b\n");
        script_free(script);
    }
    struct script *script = open_text(state, "\xef\xbb\xbf");
    assert_true(script_ended(script));
    script_free(script);
}

/* The script is standard input, up to its end, whatever that is; a path in it is relative to where we are. */
static void takes_standard_input(void **state)
{
    int ends[2], before = dup(STDIN_FILENO);
    struct error error;

    (void)state;
    assert_true(before >= 0);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(write(ends[1], "line a\nnonsense\n", 16), 16);
    close(ends[1]);
    assert_null(script_open(NULL, "-", &error));
    assert_string_equal(error.text,
                        "standard input:2: the line begins with none of send, line, wait, file, repeat, end");
    close(ends[0]);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(write(ends[1], "line a\n", 7), 7);
    close(ends[1]);
    struct script *script = script_open(NULL, "-", &error);
    assert_non_null(script);
    gives(script, "a\n");
    script_free(script);
    close(ends[0]);
    assert_int_equal(dup2(before, STDIN_FILENO), STDIN_FILENO);
    close(before);
}

static void tells_faults_with_their_lines(void **state)
{
    static const struct {
        const char *text;
        const char *where;
    } faults[] = {
        {"\n\nsned \"a\"", "script:3: the line begins with none"},
        {"sendx", "script:1: the line begins with none"},
        {"\x1b[31m", "script:1: the line begins with none"},
        {"send", "script:1: the step's text is not in double quotes"},
        {"send a", "script:1: the step's text is not in double quotes"},
        {"send \"a", "script:1: the closing double quote"},
        {"send \"", "script:1: the closing double quote"},
        {"send \"a\\\"", "script:1: the closing double quote"},
        {"send \"a\\", "script:1: a backslash"},
        {"send \"a\\q\"", "script:1: a backslash"},
        {"send \"\\x\"", "script:1: \\x is not followed"},
        {"send \"\\x1\"", "script:1: \\x is not followed"},
        {"send \"\\x1g\"", "script:1: \\x is not followed"},
        {"send \"\\x", "script:1: \\x is not followed"},
        {"send \"a\" b", "script:1: there is something after"},
        {"send \"a\"\r\r\n", "script:1: there is something after"},
        {"\xff\xfe"
         "l",
         "script:1: the script is in UTF-16"},
        {"line\n\xef\xbb\xbfline", "script:2: the line begins with none"},
        {"wait \"\"", "script:1: there is nothing to wait for"},
        {"file \"\"", "script:1: the file's name is empty"},
        {"file \"a\\x00\"", "script:1: the file's name has a NUL"},
        {"file \".\"", "is a directory"},
        {"repeat\nend", "script:1: repeat is not followed by a number"},
        {"repeat 0\nline\nend", "script:1: repeat is not followed by a number"},
        {"repeat -1\nline\nend", "script:1: repeat is not followed by a number"},
        {"repeat 1048577\nline\nend", "script:1: repeat is not followed by a number"},
        {"repeat 18446744073709551617\nline\nend", "script:1: repeat is not followed by a number"},
        {"repeat 2x\nline\nend", "script:1: repeat is not followed by a number"},
        {"repeat 2 2\nline\nend", "script:1: repeat is not followed by a number"},
        {"line\nrepeat 2\nend", "script:3: there is no step between"},
        {"repeat 2\nrepeat 2\nline\nend\n", "script:1: the end of this repeat"},
        {"line\nend", "script:2: end without a repeat"},
        {"repeat 2\nline\nend x", "script:3: there is something after"},
        {"repeat 1048576\nline\nend\nline", "script:4: the script has more than 1048576 steps"},
        {"repeat 1024\nrepeat 1025\nline\nend\nend", "script:5: the script has more than 1048576 steps"},
        {"repeat 1\nrepeat 1\nrepeat 1\nrepeat 1\nrepeat 1\nrepeat 1\nrepeat 1\nrepeat 1\nrepeat 1\n",
         "script:9: repeats are nested"},
    };

    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct error error;
        assert_null(try_open(state, faults[i].text, strlen(faults[i].text), &error));
        assert_int_equal(error.kind, ERROR_INPUT);
        if (!strstr(error.text, faults[i].where))
            fail_msg("fault %zu gave: %s", i, error.text);
    }
    struct error error;
    assert_null(try_open(state, "send \"\0\\", 8, &error));
    assert_null(try_open(state, "send \"\\\0\"", 9, &error));
    assert_null(try_open(state, "line\0", 5, &error));
    assert_null(script_open(NULL, "/nonexistent/script", &error));
    assert_int_equal(error.kind, ERROR_INPUT);
}

static void keeps_its_limits(void **state)
{
    static char text[SCRIPT_TEXT_MAX + 1];
    struct error error;

    /* The longest wait, and one byte more; with a number it counts at its longest. */
    for (unsigned more = 0; more < 2; more++) {
        int length = sprintf(text, "repeat 10\nwait \"%%d%0*d\"\nend\n", SCRIPT_WAIT_MAX - 2 + more, 7);
        struct script *script = try_open(state, text, (size_t)length, &error);
        assert_int_equal(!!script, !more);
        for (unsigned round = 1; script && round <= 10; round++) {
            length = sprintf(text, "%u%0*d", round, SCRIPT_WAIT_MAX - 2, 7);
            assert_false(script_ended(script));
            script_output(script, (uint8_t *)text, (size_t)length);
        }
        assert_true(!script || script_ended(script));
        script_free(script);
    }
    assert_non_null(strstr(error.text, "longer than 4096 bytes"));

    /* Nothing but holes, in a text as long as may be. */
    strcpy(text, "repeat 1048576\nline ");
    size_t length = strlen(text);
    while (length < SCRIPT_TEXT_MAX - 6) {
        memcpy(text + length, "%d", 2);
        length += 2;
    }
    memcpy(text + length, "\nend\n", 5);
    length += 5;
    struct script *script = try_open(state, text, length, &error);
    assert_non_null(script);
    uint8_t bytes[4096];
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(script_read(script, bytes, sizeof bytes), sizeof bytes);
    script_free(script);

    memset(text, '#', sizeof text);
    script = try_open(state, text, SCRIPT_TEXT_MAX, &error);
    assert_non_null(script);
    script_free(script);
    assert_null(try_open(state, text, SCRIPT_TEXT_MAX + 1, &error));
    assert_non_null(strstr(error.text, "larger than"));

    /* As many steps as may be, none of which does anything, are passed over at once. */
    script = open_text(state, "repeat 1024\nrepeat 1024\nsend \"\"\nend\nend");
    assert_true(script_ended(script));
    script_free(script);
}

/* A random script of sends and waits over a small alphabet, as a text and as the list of its steps. */
#define MODEL_STEPS 512
#define MODEL_TEXT  8192

struct model {
    struct dice dice;
    char text[MODEL_TEXT];
    size_t length;
    struct model_step {
        bool wait;
        char bytes[24];
    } steps[MODEL_STEPS];
    size_t count;
};

static void model_word(struct model *model, char *word)
{
    size_t length = 1 + dice_below(&model->dice, 8);

    for (size_t i = 0; i < length; i++)
        word[i] = "abaab1"[dice_below(&model->dice, 6)];
    word[length] = 0;
}

/* Steps of one level from model->count on; what a repeat holds is counted out once its end is known. */
static void model_block(struct model *model, unsigned depth)
{
    unsigned lines = 1 + dice_below(&model->dice, 4);

    for (unsigned i = 0; i < lines && model->count < MODEL_STEPS / 8; i++) {
        if (depth < 3 && dice_below(&model->dice, 4) == 0) {
            unsigned rounds = 1 + dice_below(&model->dice, 3);
            size_t first = model->count;
            model->length += (size_t)sprintf(model->text + model->length, "repeat %u\n", rounds);
            model_block(model, depth + 1);
            size_t inside = model->count - first;
            if (inside == 0) /* the list is full, and a repeat may not be empty */
                model->length += (size_t)sprintf(model->text + model->length, "send \"\"\n");
            model->length += (size_t)sprintf(model->text + model->length, "end\n");
            for (unsigned round = 1; round < rounds; round++) {
                assert_true(model->count + inside <= MODEL_STEPS);
                memcpy(&model->steps[model->count], &model->steps[first], inside * sizeof model->steps[0]);
                model->count += inside;
            }
        } else {
            struct model_step *step = &model->steps[model->count++];
            step->wait = dice_below(&model->dice, 2) == 0;
            model_word(model, step->bytes);
            model->length +=
                (size_t)sprintf(model->text + model->length, "%s \"%s\"\n", step->wait ? "wait" : "send", step->bytes);
        }
    }
}

/* What the script has sent once the guest has printed all this. */
static size_t model_sent(const struct model *model, const uint8_t *output, size_t length, char *sent)
{
    size_t from = 0, done = 0;

    for (size_t i = 0; i < model->count; i++) {
        const char *bytes = model->steps[i].bytes;
        if (model->steps[i].wait) {
            const uint8_t *found = memmem(output + from, length - from, bytes, strlen(bytes));
            if (!found)
                break;
            from = (size_t)(found - output) + strlen(bytes);
        } else {
            done += (size_t)sprintf(sent + done, "%s", bytes);
        }
    }
    return done;
}

/* Whatever the pieces in which output comes and input is taken, the script is where the model is. */
static void plays_as_the_model_does(void **state)
{
    static struct model model;
    uint8_t output[400];
    static char expected[MODEL_STEPS * 24], sent[MODEL_STEPS * 24];
    uint64_t longest = 0;

    for (uint64_t seed = 1; seed <= 400; seed++) {
        memset(&model, 0, sizeof model);
        model.dice.seed = seed * 0x9e3779b97f4a7c15u;
        model_block(&model, 0);
        model_block(&model, 0);
        struct script *script = open_text(state, model.text);
        size_t printed = 0, taken = 0;
        while (printed < sizeof output) {
            size_t piece = 1 + dice_below(&model.dice, seed % 2 ? 3 : 60);
            for (size_t i = 0; i < piece && printed + i < sizeof output; i++)
                output[printed + i] = (uint8_t) "ab1"[dice_below(&model.dice, 8) % 3];
            piece = piece < sizeof output - printed ? piece : sizeof output - printed;
            script_output(script, output + printed, piece);
            printed += piece;
            size_t length = model_sent(&model, output, printed, expected);
            assert_int_equal(script_ready(script), length > taken);
            taken += script_read(script, (uint8_t *)sent + taken, dice_below(&model.dice, 40));
            assert_true(taken <= length);
        }
        size_t length = model_sent(&model, output, printed, expected);
        taken += script_read(script, (uint8_t *)sent + taken, sizeof sent - taken);
        assert_int_equal(taken, length);
        assert_memory_equal(sent, expected, length);
        script_free(script);
        longest = longest > length ? longest : length;
    }
    assert_true(longest > 20);
}

/* Whatever the bytes are, a script is refused with a line, or plays within its bounds. */
static void survives_hostile_bytes(void **state)
{
    static const char *const words[] = {
        "send \"",   "wait \"", "line ", "repeat ", "end", "\n", "\n", "\n", "\"\n", "\\x",           "\\",
        "%d",        "3",       "99",    "a",       "b",   "#",  "\"", " ",  "\xff", "send \"%d\"\n", "wait \"a\"\n",
        "repeat 7\n"};
    struct dice dice = {.seed = 77};
    unsigned opened = 0;

    for (unsigned i = 0; i < 3000; i++) {
        char text[512];
        size_t length = 0;
        unsigned pieces = dice_below(&dice, 24);
        for (unsigned piece = 0; piece < pieces; piece++) {
            const char *word = words[dice_below(&dice, sizeof words / sizeof words[0])];
            memcpy(text + length, word, strlen(word));
            length += strlen(word);
        }
        if (length && dice_below(&dice, 4) == 0)
            text[dice_below(&dice, (uint32_t)length)] = (char)dice_roll(&dice);
        struct error error;
        struct script *script = try_open(state, text, length, &error);
        if (!script) {
            assert_int_equal(error.kind, ERROR_INPUT);
            assert_non_null(strstr(error.text, "script:"));
            continue;
        }
        uint8_t bytes[64];
        for (unsigned turn = 0; turn < 50; turn++) {
            script_read(script, bytes, sizeof bytes);
            script_output(script, (const uint8_t *)"aba", 3);
        }
        opened++;
        script_free(script);
    }
    assert_true(opened > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_and_ends),
        cmocka_unit_test(reads_in_pieces),
        cmocka_unit_test(waits),
        cmocka_unit_test(waits_look_back_to_the_last_match),
        cmocka_unit_test(shows_what_is_waited_for),
        cmocka_unit_test(repeats),
        cmocka_unit_test(sends_files),
        cmocka_unit_test(takes_text_of_other_systems),
        cmocka_unit_test(takes_standard_input),
        cmocka_unit_test(tells_faults_with_their_lines),
        cmocka_unit_test(keeps_its_limits),
        cmocka_unit_test(plays_as_the_model_does),
        cmocka_unit_test(survives_hostile_bytes),
    };

    return cmocka_run_group_tests(tests, place_setup, place_teardown);
}
