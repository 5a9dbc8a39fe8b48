/*
 * Arbitrary bytes, executed by the soft engine in every mode, for a bounded number of ticks.
 *
 * That nothing is worse than a guest error is for the sanitizers, CHECK and libFuzzer's -timeout to see. Besides, a run
 * is a pure function of where it starts, so all ways to the same place must agree on processor, memory, exits and all
 * values that went out:
 *
 *   straight   to the end in one go, but for the place of the forced interrupt
 *   stepped    tick by tick, asking for the dirty pages at each
 *   restored   the processor is taken out halfway, and put into a new engine, as a checkpoint does
 *   named      a position that the stepped run named halfway is landed on from the start
 *   broken     breaks stop it at places and accesses; twice, the second time boundary by boundary, and both times it
 *              must stop for the same breaks in the same order
 *   observed   an observer is told of everything; twice, the second time boundary by boundary, and must hear the same;
 *              the instructions and faults that it is told of are all the ticks that there were
 *
 * Input: mode, options, tick of the interrupt, vector, seed, tick of "halfway", two spare; the rest is code.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/fuzz/soft_world.h"
#include "vmm/soft/soft_engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEADER 8
#define TICKS  600

struct scenario {
    struct world_plan plan;
    uint64_t interrupt_at; /* 0: none */
    uint64_t halfway;
    uint8_t vector;
};

/* A place that was reached, and what was done on the way. */
struct place {
    enum engine_stop stop;
    uint64_t ticks, exits, trace;
    struct digest cpu, ram;
    char fault[256];
};

struct run {
    const struct scenario *scenario;
    struct engine *engine;
    struct ram ram;
    uint64_t trace; /* of all exits */
    uint64_t hits;  /* of all breaks that stopped it */
    unsigned hit_count;
    uint64_t heard; /* all that an observer was told */
    uint64_t heard_ticks;
    bool gap; /* it was told of a tick out of turn */
    enum engine_stop stop;
};

static uint64_t note(struct run *run, uint64_t what, uint64_t address, uint64_t value)
{
    run->trace = (run->trace ^ what) * UINT64_C(0x9e3779b97f4a7c15) + address;
    return world_random(&run->trace) ^ value;
}

static uint64_t host_read(void *context, enum engine_space space, uint64_t address, unsigned size)
{
    return note(context, space * 16 + size, address, 0);
}

static void host_write(void *context, enum engine_space space, uint64_t address, unsigned size, uint64_t value)
{
    note(context, 256 + space * 16 + size, address, 0);
    note(context, 512, value, 0);
}

static uint8_t host_acknowledge(void *context)
{
    struct run *run = context;
    run->engine->intr = false;
    note(run, 1024, 0, 0);
    return run->scenario->vector;
}

static void host_entropy(void *context, uint8_t *bytes, size_t length)
{
    uint64_t random = note(context, 'e', length, 0);
    memcpy(bytes, &random, length);
}

/* Guest time that goes on with the ticks, though not at their rate. */
static uint64_t host_read_time(void *context, uint64_t ticks)
{
    (void)context;
    return 3 * ticks + 1;
}

static int host_ram_digest(void *context, struct digest *digest, struct error *error)
{
    const struct run *run = context;
    (void)error;
    *digest = digest_of(run->ram.bytes, run->ram.size, 0);
    return 0;
}

static void new_engine(struct run *run)
{
    const struct engine_host host = {run,          host_read,      host_write,     host_acknowledge,
                                     host_entropy, host_read_time, host_ram_digest};
    struct error error;
    run->engine = soft_engine_create(&host, &error);
    CHECK(run->engine && engine_map_ram(run->engine, &run->ram, &error) == 0);
}

static void begin(struct run *run, const struct scenario *scenario)
{
    struct cpu_state cpu;
    struct error error;
    *run = (struct run){.scenario = scenario};
    CHECK(ram_create(&run->ram, WORLD_RAM, &error) == 0);
    new_engine(run);
    world_make(&scenario->plan, &run->ram, &cpu);
    CHECK(engine_set_cpu(run->engine, &cpu, 0, &error) == 0);
}

static void end(struct run *run)
{
    engine_destroy(run->engine);
    ram_destroy(&run->ram);
}

static bool over(const struct run *run)
{
    return run->stop != ENGINE_STOP_POSITION;
}

/* To tick `ticks`; returns false when the guest stopped before. Where the delivery of an interrupt or a debug trap
 * faults, there is no boundary between it and the delivery of the fault, which is a tick. */
static bool go_to_tick(struct run *run, uint64_t ticks)
{
    const struct engine_stops stops = {.to_tick = true, .tick = ticks};
    struct error error;
    if (over(run))
        return false;
    enum engine_stop stop = engine_run(run->engine, &stops, &error);
    CHECK(stop != ENGINE_STOP_POSITION && stop != ENGINE_STOP_ERROR && stop != ENGINE_STOP_OVERSHOT);
    run->stop = stop == ENGINE_STOP_TICK ? ENGINE_STOP_POSITION : stop;
    CHECK(over(run) || soft_engine_ticks(run->engine) - ticks <= 1);
    return !over(run);
}

static void interrupt_here(struct run *run)
{
    if (!over(run) && run->scenario->interrupt_at == soft_engine_ticks(run->engine))
        engine_set_intr(run->engine, true);
}

static struct place place_of(struct run *run)
{
    struct place place = {.stop = run->stop, .exits = run->engine->exits, .trace = run->trace};
    struct cpu_state cpu;
    struct error error;
    place.ticks = soft_engine_ticks(run->engine);
    CHECK(engine_get_cpu(run->engine, &cpu, &error) == 0);
    place.cpu = cpu_state_digest(&cpu);
    place.ram = digest_of(run->ram.bytes, run->ram.size, 0);
    if (run->stop == ENGINE_STOP_FAULT)
        memcpy(place.fault, run->engine->fault.text, sizeof place.fault);
    return place;
}

static void print_place(const char *way, const struct place *place)
{
    char cpu[DIGEST_TEXT], ram[DIGEST_TEXT];
    fprintf(stderr, "%s: stop %d, tick %lu, exit %lu, trace %lx, cpu %s, ram %s, %s\n", way, (int)place->stop,
            (unsigned long)place->ticks, (unsigned long)place->exits, (unsigned long)place->trace,
            digest_text(place->cpu, cpu), digest_text(place->ram, ram), place->fault);
}

static void compare(const char *way, const struct place *expected, const struct place *got)
{
    bool same = expected->stop == got->stop && expected->ticks == got->ticks && expected->exits == got->exits &&
                expected->trace == got->trace && digest_equal(expected->cpu, got->cpu) &&
                digest_equal(expected->ram, got->ram) && strcmp(expected->fault, got->fault) == 0;
    if (same)
        return;
    print_place("expected", expected);
    print_place(way, got);
    abort();
}

/* In as few goes as can be to tick `until`. */
static void go_straight(struct run *run, uint64_t until)
{
    uint64_t at = run->scenario->interrupt_at;
    if (at > soft_engine_ticks(run->engine) && at < until && go_to_tick(run, at))
        interrupt_here(run);
    go_to_tick(run, until);
}

static void go_stepping(struct run *run, uint64_t from, uint64_t until)
{
    struct error error;
    for (uint64_t tick = from + 1; tick <= until && go_to_tick(run, tick); tick++) {
        CHECK(engine_collect_dirty(run->engine, &error) == 0);
        if (tick < until)
            interrupt_here(run);
    }
}

/* What a checkpoint does: all of the processor's state goes through struct cpu_state. */
static void replace_engine(struct run *run)
{
    struct engine old = *run->engine;
    uint64_t ticks = soft_engine_ticks(run->engine);
    struct cpu_state cpu;
    struct error error;
    CHECK(engine_get_cpu(run->engine, &cpu, &error) == 0);
    engine_destroy(run->engine);
    new_engine(run);
    run->engine->exits = old.exits;
    run->engine->intr = old.intr;
    run->engine->look = old.look;
    CHECK(engine_set_cpu(run->engine, &cpu, ticks, &error) == 0);
}

static void check_named(const struct scenario *scenario, const struct position *position, const struct place *place)
{
    struct run run;
    struct error error;
    begin(&run, scenario);
    if (scenario->interrupt_at && scenario->interrupt_at < scenario->halfway &&
        go_to_tick(&run, scenario->interrupt_at))
        interrupt_here(&run);
    run.stop = engine_run_to(run.engine, position, &error);
    struct place got = place_of(&run);
    compare("named", place, &got);
    end(&run);
}

#define BREAKS 8

/* Some places in the code, and some memory, half of them by physical addresses. */
static void choose_breaks(const struct scenario *scenario, struct engine_break breaks[BREAKS])
{
    uint64_t seed = scenario->plan.seed + 1;
    for (unsigned i = 0; i < BREAKS; i++) {
        uint64_t random = world_random(&seed);
        breaks[i] = (struct engine_break){.kind = i % 2 ? ENGINE_BREAK_READ + random % 3 : ENGINE_BREAK_EXECUTE,
                                          .physical = random & 8,
                                          .length = i % 2 ? 1 + (random >> 8) % 4096 : 0};
        breaks[i].address =
            i % 2 ? (random >> 20) % WORLD_RAM : WORLD_CODE + (random >> 20) % (scenario->plan.length + 8);
    }
}

static void note_hit(struct run *run)
{
    const struct engine_hit *hit = &run->engine->hit;
    uint64_t what[] = {hit->index,    hit->write,         hit->linear,
                       hit->physical, run->engine->exits, soft_engine_ticks(run->engine)};
    for (unsigned i = 0; i < sizeof what / sizeof what[0]; i++)
        run->hits = (world_random(&run->hits) ^ what[i]) * UINT64_C(0x9e3779b97f4a7c15);
    run->hit_count++;
}

static void go_breaking(struct run *run, uint64_t until, bool step)
{
    struct engine_break breaks[BREAKS];
    struct engine_stops stops = {.to_tick = true, .tick = until, .step = step, .breaks = breaks, .break_count = BREAKS};
    struct error error;
    choose_breaks(run->scenario, breaks);
    for (enum engine_stop stop = ENGINE_STOP_STEP; !over(run) && stop != ENGINE_STOP_TICK;) {
        stop = engine_run(run->engine, &stops, &error);
        if (stop == ENGINE_STOP_BREAK)
            note_hit(run);
        else if (stop != ENGINE_STOP_STEP && stop != ENGINE_STOP_TICK)
            run->stop = stop;
    }
}

static void check_breaking(const struct scenario *scenario, const struct place *expected)
{
    struct run runs[2];
    for (unsigned i = 0; i < 2; i++) {
        struct run *run = &runs[i];
        begin(run, scenario);
        if (scenario->interrupt_at && scenario->interrupt_at < TICKS) {
            go_breaking(run, scenario->interrupt_at, i == 1);
            interrupt_here(run);
        }
        go_breaking(run, TICKS, i == 1);
        struct place got = place_of(run);
        compare(i ? "broken, stepped" : "broken", expected, &got);
        end(run);
    }
    if (runs[0].hits == runs[1].hits)
        return;
    fprintf(stderr, "breaks: %u hits straight, %u stepped, or others\n", runs[0].hit_count, runs[1].hit_count);
    abort();
}

static void hear(struct run *run, uint64_t what, uint64_t a, uint64_t b)
{
    run->heard = (world_random(&run->heard) ^ what) * UINT64_C(0x9e3779b97f4a7c15) + a;
    run->heard = world_random(&run->heard) ^ b;
}

static void hear_instruction(void *context, uint64_t rip, uint64_t tick, uint64_t count)
{
    struct run *run = context;
    run->gap |= tick != run->heard_ticks || count == 0;
    run->heard_ticks = tick + count;
    for (uint64_t i = 0; i < count; i++)
        hear(run, 'i', rip, tick + i);
}

static void hear_branch(void *context, uint64_t from, uint64_t to)
{
    hear(context, 'b', from, to);
}

static void hear_access(void *context, const struct engine_access *access)
{
    hear(context, access->write ? 'w' : 'r', access->linear, access->physical + access->length);
}

static void hear_event(void *context, const struct engine_event *event)
{
    struct run *run = context;
    run->heard_ticks += event->source == ENGINE_EVENT_FAULT;
    hear(run, event->source, event->vector | (uint64_t)event->code << 8, event->from ^ event->to << 1);
}

/* With and without accesses: they send everything the long way. */
static void check_observed(const struct scenario *scenario, const struct place *expected, bool memory)
{
    struct run runs[2];
    for (unsigned i = 0; i < 2; i++) {
        struct run *run = &runs[i];
        begin(run, scenario);
        engine_observe(run->engine, &(const struct engine_observer){.context = run,
                                                                    .instruction = hear_instruction,
                                                                    .branch = hear_branch,
                                                                    .memory = memory ? hear_access : NULL,
                                                                    .event = hear_event});
        if (i == 0)
            go_straight(run, TICKS);
        else
            for (uint64_t tick = 1; tick <= TICKS && go_to_tick(run, tick); tick++)
                interrupt_here(run);
        struct place got = place_of(run);
        compare(i ? "observed, stepped" : "observed", expected, &got);
        end(run);
    }
    bool all = runs[0].heard_ticks == expected->ticks && runs[1].heard_ticks == expected->ticks;
    if (runs[0].heard == runs[1].heard && all && !runs[0].gap && !runs[1].gap)
        return;
    fprintf(stderr, "observed: heard %lx and %lx, ticks %lu and %lu of %lu, gaps %d and %d\n",
            (unsigned long)runs[0].heard, (unsigned long)runs[1].heard, (unsigned long)runs[0].heard_ticks,
            (unsigned long)runs[1].heard_ticks, (unsigned long)expected->ticks, runs[0].gap, runs[1].gap);
    abort();
}

static void check(const struct scenario *scenario)
{
    struct run straight, stepped, restored;
    struct position position;
    struct error error;
    begin(&straight, scenario);
    go_straight(&straight, TICKS);
    struct place expected = place_of(&straight);
    end(&straight);
    check_breaking(scenario, &expected);
    check_observed(scenario, &expected, false);
    check_observed(scenario, &expected, true);

    begin(&stepped, scenario);
    go_stepping(&stepped, 0, scenario->halfway);
    struct place halfway = place_of(&stepped);
    bool reached = !over(&stepped);
    CHECK(engine_name_position(stepped.engine, &position, &error));
    if (reached) {
        interrupt_here(&stepped);
        go_stepping(&stepped, scenario->halfway, TICKS);
    }
    struct place got = place_of(&stepped);
    compare("stepped", &expected, &got);
    end(&stepped);
    if (!reached)
        return;
    check_named(scenario, &position, &halfway);
    begin(&restored, scenario);
    go_straight(&restored, scenario->halfway);
    replace_engine(&restored);
    interrupt_here(&restored);
    go_straight(&restored, TICKS);
    got = place_of(&restored);
    compare("restored", &expected, &got);
    end(&restored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size <= HEADER || size > HEADER + 512)
        return 0;
    struct scenario scenario = {
        .plan = {.mode = data[0] % WORLD_MODES,
                 .user = data[1] & 1,
                 .odd = (data[1] & 6) == 2,
                 .hostile = (data[1] & 24) == 8,
                 .seed = data[4] | (uint64_t)data[6] << 8,
                 .code = data + HEADER,
                 .length = size - HEADER},
        .interrupt_at = data[2],
        .vector = data[3],
        .halfway = 1 + data[5],
    };
    check(&scenario);
    return 0;
}
