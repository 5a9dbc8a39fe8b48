/* See say_limit.h. */
#include "replication/say_limit.h"

#include <stdio.h>

/* At once, in each period. */
static const unsigned allowed[SAY_KINDS] = {
    [SAY_REFUSED] = 1, [SAY_NONSENSE] = 1, [SAY_LINK] = 5, [SAY_ARBITER] = 2, [SAY_CONSOLE] = 3};

static const char *const what[SAY_KINDS] = {[SAY_REFUSED] = "were not let in",
                                            [SAY_NONSENSE] = "messages made no sense",
                                            [SAY_LINK] = "links came to their end",
                                            [SAY_ARBITER] = "requests to the arbiter failed",
                                            [SAY_CONSOLE] = "messages about consoles"};

bool say_limit_admits(struct say_limit *limit, enum say_kind kind, const char *text, uint64_t now)
{
    struct say_some *some = &limit->kinds[kind];

    if (kind == SAY_ANYTHING)
        return true;
    if (some->until == 0)
        some->until = now + SAY_PERIOD;
    if (some->said < allowed[kind]) {
        some->said++;
        return true;
    }
    some->held++;
    snprintf(some->last, sizeof some->last, "%s", text);
    return false;
}

bool say_limit_due(struct say_limit *limit, uint64_t now, char line[SAY_TEXT])
{
    for (unsigned kind = 0; kind < SAY_KINDS; kind++) {
        struct say_some *some = &limit->kinds[kind];
        unsigned held = some->held;
        if (some->until == 0 || now < some->until)
            continue;
        /* As long as it goes on there is one line in each period. */
        some->until = held ? now + SAY_PERIOD : 0;
        some->said = held ? allowed[kind] : 0;
        some->held = 0;
        if (held == 0)
            continue;
        snprintf(line, SAY_TEXT, "%u more %s within 10 s; the last: %.400s", held, what[kind], some->last);
        return true;
    }
    return false;
}
