/* See breaks.h. */
#include "vmm/soft/breaks.h"

#include <string.h>

#include "base/check.h"
#include "vmm/soft/memory.h"

static bool same_break(const struct engine_break *a, const struct engine_break *b)
{
    return a->kind == b->kind && a->physical == b->physical && a->address == b->address && a->length == b->length;
}

static bool same_breaks(const struct soft_breaks *breaks, const struct engine_stops *stops)
{
    if (breaks->count != stops->break_count)
        return false;
    for (size_t i = 0; i < breaks->count; i++)
        if (!same_break(&breaks->list[i], &stops->breaks[i]))
            return false;
    return true;
}

/* Blocks and translations made for other breaks are of no use. */
static void replace(struct soft *cpu, const struct engine_stops *stops)
{
    struct soft_breaks *breaks = &cpu->breaks;

    CHECK(stops->break_count <= ENGINE_BREAKS_MAX);
    memcpy(breaks->list, stops->breaks, stops->break_count * sizeof *breaks->list);
    breaks->count = stops->break_count;
    breaks->found = breaks->told = false;
    soft_drop_all(cpu);
}

void soft_breaks_begin(struct soft *cpu, const struct engine_stops *stops)
{
    struct soft_breaks *breaks = &cpu->breaks;
    bool had_data = breaks->data;

    if (stops->break_count && !same_breaks(breaks, stops)) {
        replace(cpu, stops);
        had_data = false;
    }
    breaks->code = breaks->data = breaks->linear = false;
    for (size_t i = 0; i < stops->break_count; i++) {
        bool executes = breaks->list[i].kind == ENGINE_BREAK_EXECUTE;
        breaks->code |= executes;
        breaks->data |= !executes;
        breaks->linear |= executes && !breaks->list[i].physical;
    }
    if (!stops->break_count)
        breaks->found = breaks->told = false;
    if (breaks->data && !had_data)
        soft_flush_tlb(cpu);
    if (breaks->code != ((cpu->mode & MODE_BREAKS) != 0))
        soft_update_mode(cpu);
}

bool soft_breaks_at(const struct soft *cpu, uint64_t linear, uint64_t phys)
{
    for (size_t i = 0; i < cpu->breaks.count; i++) {
        const struct engine_break *b = &cpu->breaks.list[i];
        if (b->kind == ENGINE_BREAK_EXECUTE && b->address == (b->physical ? phys : linear))
            return true;
    }
    return false;
}

bool soft_breaks_found(struct soft *cpu)
{
    if (!cpu->breaks.found)
        return false;
    cpu->breaks.found = false;
    cpu->engine.hit = cpu->breaks.hit;
    return true;
}

static bool told_here(const struct soft *cpu)
{
    const struct soft_breaks *breaks = &cpu->breaks;

    return breaks->told && breaks->told_exits == cpu->engine.exits && breaks->told_ticks == soft_ticks(cpu);
}

bool soft_breaks_here(struct soft *cpu)
{
    struct soft_breaks *breaks = &cpu->breaks;
    uint64_t linear = soft_fetch_linear(cpu, cpu->rip), phys;

    if (!breaks->code || told_here(cpu))
        return false;
    if (!soft_look_up(cpu, linear, ACCESS_FETCH, &phys))
        phys = UINT64_MAX; /* nothing is there: the fetch will fault */
    for (size_t i = 0; i < breaks->count; i++) {
        const struct engine_break *b = &breaks->list[i];
        if (b->kind != ENGINE_BREAK_EXECUTE || b->address != (b->physical ? phys : linear))
            continue;
        breaks->told = true;
        breaks->told_exits = cpu->engine.exits;
        breaks->told_ticks = soft_ticks(cpu);
        cpu->engine.hit = (struct engine_hit){.index = i, .linear = linear, .physical = phys};
        return true;
    }
    return false;
}

bool soft_breaks_alone(const struct soft *cpu)
{
    /* Blocks are found by RIP and physical address; with a base in CS, the same block may be at two linear ones. */
    bool based = cpu->breaks.linear && cpu->seg_base[SEG_CS] != 0;

    return cpu->breaks.code && (based || told_here(cpu));
}

static bool overlaps(uint64_t a, uint64_t a_length, uint64_t b, uint64_t b_length)
{
    return a - b < b_length || b - a < a_length;
}

static bool is_hit(const struct engine_break *b, uint64_t linear, uint64_t phys, unsigned length, bool write)
{
    if (b->kind == ENGINE_BREAK_EXECUTE || (b->kind == ENGINE_BREAK_READ && write) ||
        (b->kind == ENGINE_BREAK_WRITE && !write) || (!b->physical && linear == ENGINE_NO_LINEAR))
        return false;
    return overlaps(b->physical ? phys : linear, length, b->address, b->length);
}

bool soft_breaks_access(const struct soft *cpu, uint64_t linear, uint64_t phys, unsigned length, bool write)
{
    if (!cpu->breaks.data)
        return false;
    for (size_t i = 0; i < cpu->breaks.count; i++)
        if (is_hit(&cpu->breaks.list[i], linear, phys, length, write))
            return true;
    return false;
}

void soft_breaks_note(struct soft *cpu, uint64_t linear, uint64_t phys, unsigned length, bool write)
{
    struct soft_breaks *breaks = &cpu->breaks;

    if (!breaks->data || breaks->found)
        return;
    for (size_t i = 0; i < breaks->count; i++) {
        if (!is_hit(&breaks->list[i], linear, phys, length, write))
            continue;
        breaks->found = true;
        breaks->hit =
            (struct engine_hit){.index = i, .write = write, .linear = linear, .physical = phys, .length = length};
        soft_attend(cpu);
        return;
    }
}

bool soft_breaks_page(const struct soft *cpu, uint64_t linear, uint64_t phys)
{
    uint64_t page = ~UINT64_C(4095);

    return soft_breaks_access(cpu, linear & page, phys & page, 4096, true) ||
           soft_breaks_access(cpu, linear & page, phys & page, 4096, false);
}
