/* Small parts around network cards: addresses, their place in a machine's description, options, the gate of frames. */
#include "tests/unit/log_samples.h"

#include "base/ethernet.h"
#include "replay/description.h"
#include "replication/frame_gate.h"

static void addresses(void **state)
{
    static const char *const wrong[] = {"",
                                        "52:54:00:12:34",
                                        "52:54:00:12:34:5",
                                        "52:54:00:12:34:567",
                                        "52-54-00-12-34-56",
                                        "52:54:00:12:34:5g",
                                        "53:54:00:12:34:56",
                                        "00:00:00:00:00:00",
                                        "ff:ff:ff:ff:ff:ff"};
    uint8_t mac[MAC_BYTES];
    char text[MAC_TEXT];

    (void)state;
    assert_int_equal(mac_parse("52:54:00:aB:Cd:ef", mac), 0);
    assert_string_equal(mac_text(mac, text), "52:54:00:ab:cd:ef");
    for (size_t n = 0; n < sizeof wrong / sizeof wrong[0]; n++)
        assert_int_equal(mac_parse(wrong[n], mac), -1);
}

static struct description *sample_description(void)
{
    struct description *d = calloc(1, sizeof *d);

    assert_non_null(d);
    *d = (struct description){.image = "/image", .engine = "soft", .tick_unit = "instructions", .clock = "host"};
    d->ram_size = MACHINE_RAM_MIN;
    d->protocol = BOOT_ELF64;
    d->net_count = 2;
    for (unsigned card = 0; card < 2; card++)
        memcpy(d->macs[card], (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)card}, MAC_BYTES);
    return d;
}

static void descriptions_carry_cards(void **state)
{
    struct description *d = sample_description(), *read = calloc(1, sizeof *read);
    struct error error;
    char *json = description_to_json(d, &error);

    (void)state;
    assert_non_null(json);
    assert_non_null(strstr(json, "\"nets\":[{\"mac\":\"02:00:00:00:00:00\",\"model\":\"virtio-net\"},{"));
    assert_int_equal(description_from_json(json, strlen(json), read, &error), 0);
    struct machine_config config = description_config(read);
    assert_int_equal(config.net_count, 2);
    assert_memory_equal(config.nets[1].mac, d->macs[1], MAC_BYTES);
    free(json);
    free(read);
    free(d);
}

/* Replaces the list of cards in a description, and expects the refusal. */
static void refuse_cards(const char *cards, const char *words)
{
    struct description *d = sample_description(), *read = calloc(1, sizeof *read);
    struct error error;
    char *json = description_to_json(d, &error), spoilt[4096];
    char *list = strstr(json, "\"nets\":[");
    char *end = strchr(list, ']') + 1;

    snprintf(spoilt, sizeof spoilt, "%.*s\"nets\":%s%s", (int)(list - json), json, cards, end);
    if (description_from_json(spoilt, strlen(spoilt), read, &error) != -1 || error.kind != ERROR_INPUT ||
        !strstr(error.text, words))
        fail_msg("%s: expected \"%s\" in \"%s\"", cards, words, error.text);
    free(json);
    free(read);
    free(d);
}

static void hostile_descriptions_are_refused(void **state)
{
    (void)state;
    refuse_cards("7", "not a list");
    refuse_cards("[1,2,3,4,5]", "not a list of at most 4");
    refuse_cards("[{}]", "model is missing");
    refuse_cards("[{\"model\":\"ne2000\",\"mac\":\"02:00:00:00:00:00\"}]", "no network card 'ne2000'");
    refuse_cards("[{\"model\":\"virtio-net\"}]", "mac is missing");
    refuse_cards("[{\"model\":\"virtio-net\",\"mac\":\"01:00:00:00:00:00\"}]", "not a network card's address");
    refuse_cards("[{\"model\":\"virtio-net\",\"mac\":\"02:00:00:00:00:00:00\"}]", "mac is missing or not a text");
}

#define NOW (10 * FRAME_GATE_AGE)

static void put(struct frame_gate *gate, uint64_t offset, uint64_t now, uint8_t number)
{
    uint8_t frame[FRAME_MIN] = {number};

    frame_gate_put(gate, offset, now, number % 4, frame, sizeof frame);
}

static void expect(struct frame_gate *gate, uint64_t committed, uint64_t now, int number)
{
    const struct frame_gate_entry *entry = frame_gate_take(gate, committed, now);

    if (number < 0) {
        assert_null(entry);
        return;
    }
    assert_non_null(entry);
    assert_int_equal(entry->frame[0], number);
    assert_int_equal(entry->card, number % 4);
    assert_int_equal(entry->length, FRAME_MIN);
}

static void frames_wait_for_their_record(void **state)
{
    struct frame_gate gate;
    struct error error;

    (void)state;
    assert_int_equal(frame_gate_create(&gate, &error), 0);
    put(&gate, 100, NOW, 1);
    put(&gate, 100, NOW, 2);
    put(&gate, 200, NOW, 3);
    put(&gate, UINT64_MAX - 1, NOW, 4);
    expect(&gate, 99, NOW, -1);
    expect(&gate, 100, NOW, 1);
    expect(&gate, 100, NOW, 2);
    expect(&gate, 199, NOW, -1);
    expect(&gate, 1000, NOW, 3);
    expect(&gate, 1000, NOW, -1);
    assert_int_equal(frame_gate_waiting(&gate), 1);
    expect(&gate, UINT64_MAX, NOW, 4);
    expect(&gate, UINT64_MAX, NOW, -1);
    frame_gate_destroy(&gate);
}

static void too_many_and_too_old_frames_are_lost(void **state)
{
    struct frame_gate gate;
    struct error error;

    (void)state;
    assert_int_equal(frame_gate_create(&gate, &error), 0);
    for (unsigned n = 0; n < FRAME_GATE_KEEP + 100; n++)
        put(&gate, 1, NOW + n, (uint8_t)n);
    assert_int_equal(frame_gate_waiting(&gate), FRAME_GATE_KEEP);
    expect(&gate, 1, NOW + FRAME_GATE_AGE, 100);
    /* Those from before 200 are too old by then. */
    expect(&gate, 1, NOW + FRAME_GATE_AGE + 200, 200);
    expect(&gate, 0, NOW + FRAME_GATE_AGE + 300, -1);
    expect(&gate, 1, NOW + 2 * FRAME_GATE_AGE, -1);
    assert_int_equal(frame_gate_waiting(&gate), 0);
    frame_gate_destroy(&gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(descriptions_carry_cards),
        cmocka_unit_test(hostile_descriptions_are_refused),
        cmocka_unit_test(frames_wait_for_their_record),
        cmocka_unit_test(too_many_and_too_old_frames_are_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
