/*
 * The addresses of memory operands; see memory.h.
 */
#include "vmm/soft/memory.h"
#include "vmm/soft/segment.h"

uint64_t soft_offset(const struct soft *cpu, const struct uop *u)
{
    uint64_t offset = cpu->regs[u->base] + (cpu->regs[u->index] << u->scale) + u->disp;
    if (u->flags & UF_ADDR16)
        offset &= 0xffff;
    else if (u->flags & UF_ADDR32)
        offset &= 0xffffffff;
    return offset;
}

uint64_t soft_segment_address(struct soft *cpu, const struct uop *u, unsigned seg, uint64_t offset, unsigned size,
                              enum access access)
{
    if (soft_64bit(cpu))
        return offset + (seg == SEG_FS || seg == SEG_GS ? cpu->seg_base[seg] : 0);
    soft_check_segment(cpu, u, seg, offset, size, access == ACCESS_WRITE);
    return (offset + cpu->segs[seg].base) & 0xffffffff;
}

uint64_t soft_address(struct soft *cpu, const struct uop *u, unsigned size, enum access access)
{
    uint64_t offset = soft_offset(cpu, u);
    if (u->flags & UF_CHECK)
        return soft_segment_address(cpu, u, u->seg, offset, size, access);
    return offset + cpu->seg_base[u->seg];
}
