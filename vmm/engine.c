/* What all engines have in common; see engine.h. */
#include "vmm/engine.h"

#include "vmm/page_walk.h"

/* What every processor with long mode has at least; more would only let reserved bits pass. */
#define PHYSICAL_BITS 40

static bool canonical(uint64_t linear)
{
    return (uint64_t)((int64_t)(linear << 16) >> 16) == linear;
}

int engine_translate(struct engine *engine, uint64_t linear, struct engine_translation *translation,
                     struct error *error)
{
    struct cpu_state cpu;
    struct page_walk walk;

    if (engine_get_cpu(engine, &cpu, error) < 0)
        return -1;
    const struct paging paging = {
        .cr0 = cpu.cr0, .cr3 = cpu.cr3, .cr4 = cpu.cr4, .efer = cpu.efer, .physical_bits = PHYSICAL_BITS};
    if (cpu.efer & EFER_LMA ? !canonical(linear) : linear > UINT32_MAX)
        return 0;
    page_walk(&paging, engine->ram, linear, &walk);
    if (walk.absent || walk.reserved)
        return 0;
    *translation = (struct engine_translation){.physical = walk.page | (linear & walk.page_mask),
                                               .page_size = walk.page_mask + 1,
                                               .write = walk.write,
                                               .user = walk.user,
                                               .no_execute = walk.no_execute};
    return 1;
}
