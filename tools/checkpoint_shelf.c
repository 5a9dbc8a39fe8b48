/* See checkpoint_shelf.h. */
#include "tools/checkpoint_shelf.h"

#include <stdlib.h>

struct shelf {
    struct engine engine;
    struct cpu_state cpu;
    uint64_t ticks;
};

static int shelf_map_ram(struct engine *engine, struct ram *ram, struct error *error)
{
    (void)engine, (void)ram, (void)error;
    return 0;
}

static enum engine_stop shelf_run(struct engine *engine, const struct engine_stops *stops, struct error *error)
{
    (void)engine, (void)stops;
    error_set(error, ERROR_HOST, "a machine that was only unpacked cannot run");
    return ENGINE_STOP_ERROR;
}

static bool shelf_name_position(struct engine *engine, struct position *position, struct error *error)
{
    (void)engine, (void)position;
    error->kind = ERROR_NONE;
    return false;
}

static int shelf_get_cpu(struct engine *engine, struct cpu_state *cpu, struct error *error)
{
    (void)error;
    *cpu = ((struct shelf *)engine)->cpu;
    return 0;
}

static int shelf_set_cpu(struct engine *engine, const struct cpu_state *cpu, uint64_t ticks, struct error *error)
{
    struct shelf *shelf = (struct shelf *)engine;

    (void)error;
    shelf->cpu = *cpu;
    shelf->ticks = ticks;
    return 0;
}

/* The guest writes nothing here, and what the monitor writes, RAM notes by itself. */
static int shelf_collect_dirty(struct engine *engine, struct error *error)
{
    (void)engine, (void)error;
    return 0;
}

static int shelf_get_ticks(struct engine *engine, uint64_t *ticks, struct error *error)
{
    (void)error;
    *ticks = ((struct shelf *)engine)->ticks;
    return 0;
}

static void shelf_kick(struct engine *engine)
{
    (void)engine;
}

static void shelf_destroy(struct engine *engine)
{
    free(engine);
}

static const struct engine_ops shelf_ops = {
    .name = "shelf",
    .map_ram = shelf_map_ram,
    .run = shelf_run,
    .name_position = shelf_name_position,
    .get_cpu = shelf_get_cpu,
    .set_cpu = shelf_set_cpu,
    .collect_dirty = shelf_collect_dirty,
    .get_ticks = shelf_get_ticks,
    .kick = shelf_kick,
    .destroy = shelf_destroy,
};

struct engine *shelf_create(struct error *error)
{
    struct shelf *shelf = calloc(1, sizeof *shelf);

    if (!shelf) {
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    shelf->engine.ops = &shelf_ops;
    /* The counter stands where the checkpoint had it, which is exact enough for a clock that counts ticks. */
    shelf->engine.caps = (struct engine_caps){.ticks = true, .tick_time = true, .tick_unit = "none"};
    return &shelf->engine;
}
