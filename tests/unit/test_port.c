/* The port between the machine's thread and the node's: what wakes the node, and what only waits for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>

#include "replication/port.h"

static struct port *open_port(void)
{
    struct error error;
    struct port *port = port_create(&error);

    assert_non_null(port);
    return port;
}

static bool wakes(const struct port *port)
{
    struct pollfd fd = {.fd = port_news_fd(port), .events = POLLIN};

    return poll(&fd, 1, 0) == 1;
}

static struct port_item replayed(uint64_t offset)
{
    return (struct port_item){.news = NEWS_REPLAYED, .stream = 1, .a = offset};
}

/* The node's thread takes all news, which are those up to this offset, in order from `first`. */
static void expect_news(struct port *port, uint64_t first, uint64_t last)
{
    struct bytes_reader news = port_take_news(port);
    struct port_item item;

    for (uint64_t offset = first; offset <= last; offset++) {
        assert_true(port_next_item(&news, &item));
        assert_int_equal(item.news, NEWS_REPLAYED);
        assert_int_equal(item.a, offset);
    }
    assert_false(port_next_item(&news, &item));
    assert_false(wakes(port));
}

static void what_is_mentioned_waits_for_what_is_told(void **unused)
{
    (void)unused;
    struct port *port = open_port();
    struct port_item items[] = {replayed(0), replayed(1), replayed(2), replayed(3)};

    port_mention(port, &items[0]);
    assert_false(wakes(port));
    expect_news(port, 0, 0);
    port_mention(port, &items[1]);
    port_tell(port, &items[2]);
    assert_true(wakes(port));
    port_mention(port, &items[3]);
    expect_news(port, 1, 3);
    port_free(port);
}

static void a_prompt_port_lets_nothing_wait(void **unused)
{
    (void)unused;
    struct port *port = open_port();
    struct port_orders orders = port_orders(port);
    struct port_item items[] = {replayed(0), replayed(1), replayed(2)};

    orders.prompt = true;
    port_order(port, &orders);
    assert_false(wakes(port)); /* there is nothing to be late with */
    port_mention(port, &items[0]);
    assert_true(wakes(port));
    expect_news(port, 0, 0);
    orders.prompt = false;
    port_order(port, &orders);
    port_mention(port, &items[1]);
    assert_false(wakes(port));
    orders.prompt = true; /* what has been mentioned is waited for from now on */
    port_order(port, &orders);
    assert_true(wakes(port));
    port_mention(port, &items[2]);
    expect_news(port, 1, 2);
    port_free(port);
}

static void more_news_than_the_port_holds_wake_the_node(void **unused)
{
    (void)unused;
    struct port *port = open_port();
    struct port_orders orders = port_orders(port);
    static const uint8_t output[1 << 20];
    struct port_item item = {.news = NEWS_REPLAYED_OUTPUT, .bytes = output, .length = sizeof output};

    orders.stop = true; /* so that nobody waits */
    port_order(port, &orders);
    for (unsigned n = 0; n < PORT_NEWS_MAX / sizeof output; n++)
        port_mention(port, &item);
    assert_false(wakes(port));
    port_mention(port, &item); /* now it is beyond */
    port_mention(port, &item);
    assert_true(wakes(port));
    port_free(port);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_mentioned_waits_for_what_is_told),
        cmocka_unit_test(a_prompt_port_lets_nothing_wait),
        cmocka_unit_test(more_news_than_the_port_holds_wake_the_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
