/* Making and unmaking a soft engine; see soft_engine.h. */
#include "vmm/soft/soft_engine.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/check.h"
#include "vmm/soft/engine_ops.h"
#include "vmm/soft/memory.h"
#include "vmm/soft/observe.h"

static struct soft *soft_of(struct engine *engine)
{
    return (struct soft *)engine;
}

static void release_ram(struct soft *cpu)
{
    free(cpu->page_flags);
    free(cpu->code_lines);
    free(cpu->dirty);
    free(cpu->table_pages);
}

static int map_ram(struct engine *engine, struct ram *ram, struct error *error)
{
    struct soft *cpu = soft_of(engine);
    CHECK(!cpu->ram);
    cpu->page_count = ram->size >> RAM_PAGE_SHIFT;
    cpu->page_flags = calloc(cpu->page_count, sizeof *cpu->page_flags);
    cpu->code_lines = calloc(cpu->page_count, sizeof *cpu->code_lines);
    cpu->dirty = calloc(ram->dirty_words, sizeof *cpu->dirty);
    cpu->table_pages = calloc(TABLE_PAGES, sizeof *cpu->table_pages);
    if (!cpu->page_flags || !cpu->code_lines || !cpu->dirty || !cpu->table_pages)
        return error_set(error, ERROR_HOST, "no memory for the soft engine's page tables");
    cpu->ram = ram;
    return 0;
}

static int collect_dirty(struct engine *engine, struct error *error)
{
    struct soft *cpu = soft_of(engine);
    (void)error;
    for (size_t i = 0; i < cpu->ram->dirty_words; i++) {
        cpu->ram->dirty[i] |= cpu->dirty[i];
        cpu->dirty[i] = 0;
    }
    soft_flush_writes(cpu);
    return 0;
}

static int get_ticks(struct engine *engine, uint64_t *ticks, struct error *error)
{
    (void)error;
    *ticks = soft_ticks(soft_of(engine));
    return 0;
}

static void kick(struct engine *engine)
{
    atomic_store(&soft_of(engine)->kicked, true);
}

static void ram_written(struct engine *engine, uint64_t address, uint64_t length)
{
    soft_ram_changed(soft_of(engine), address, length);
}

static void destroy(struct engine *engine)
{
    struct soft *cpu = soft_of(engine);
    release_ram(cpu);
    free(cpu->hash);
    free(cpu->pages);
    if (cpu->arena)
        munmap(cpu->arena, ARENA_BYTES);
    free(cpu);
}

static const struct engine_ops ops = {
    .name = "soft",
    .map_ram = map_ram,
    .run = soft_run,
    .name_position = soft_name_position,
    .get_cpu = soft_get_cpu,
    .set_cpu = soft_set_cpu,
    .collect_dirty = collect_dirty,
    .get_ticks = get_ticks,
    .observe = soft_observe,
    .ram_written = ram_written,
    .kick = kick,
    .destroy = destroy,
};

struct engine *soft_engine_create(const struct engine_host *host, struct error *error)
{
    struct soft *cpu = aligned_alloc(64, (sizeof *cpu + 63) & ~(size_t)63);
    if (!cpu) {
        error_set(error, ERROR_HOST, "no memory for the soft engine");
        return NULL;
    }
    memset(cpu, 0, sizeof *cpu);
    cpu->engine.ops = &ops;
    cpu->engine.host = *host;
    cpu->engine.caps = (struct engine_caps){.ticks = true,
                                            .landmarks = true,
                                            .tick_time = true,
                                            .observers = true,
                                            .stops = true,
                                            .tick_unit = "soft-instructions"};
    cpu->engine.alarm = UINT64_MAX;
    cpu->raised = RAISED_NOTHING;
    cpu->hash = calloc(HASH_ENTRIES, sizeof(struct block *));
    cpu->pages = calloc(HASH_ENTRIES, sizeof(struct block *));
    void *arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cpu->arena = arena == MAP_FAILED ? NULL : arena;
    if (!cpu->hash || !cpu->pages || !cpu->arena) {
        destroy(&cpu->engine);
        error_set(error, ERROR_HOST, "no memory for the soft engine's code");
        return NULL;
    }
    return &cpu->engine;
}

uint64_t soft_engine_ticks(const struct engine *engine)
{
    return soft_ticks((const struct soft *)engine);
}
