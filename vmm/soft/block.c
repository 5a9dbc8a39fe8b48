/*
 * Blocks: decoding guest code once, finding it again, and forgetting it when its page is written.
 *
 * Blocks live in an arena that is only ever emptied as a whole, so a block that was forgotten can still be left in an
 * orderly way. A forgotten block is out of both hashes, has no links, and bears a mode that no processor is in.
 */
#include "vmm/soft/block.h"

#include <string.h>

#include "vmm/soft/breaks.h"
#include "vmm/soft/memory.h"
#include "vmm/soft/observe.h"
#include "vmm/soft/simplify.h"

#define INSN_MAX 15

static unsigned hash_address(uint64_t phys, uint32_t mode)
{
    return (unsigned)(((phys ^ (phys >> 14)) + mode * 61) % HASH_ENTRIES);
}

static unsigned hash_page(uint64_t page)
{
    return (unsigned)(page % HASH_ENTRIES);
}

void soft_drop_all(struct soft *cpu)
{
    memset(cpu->hash, 0, HASH_ENTRIES * sizeof *cpu->hash);
    memset(cpu->pages, 0, HASH_ENTRIES * sizeof *cpu->pages);
    memset(cpu->jump, 0, sizeof cpu->jump);
    cpu->arena_used = 0;
    cpu->patch = NULL;
    for (uint64_t page = 0; page < cpu->page_count; page++) {
        if (cpu->page_flags[page] & PAGE_CODE) {
            cpu->page_flags[page] &= (uint8_t)~PAGE_CODE;
            cpu->code_lines[page] = 0;
        }
    }
}

static void unhash(struct soft *cpu, struct block *block)
{
    struct block **at = &cpu->hash[hash_address(block->phys, block->mode)];
    while (*at != block)
        at = &(*at)->hash_next;
    *at = block->hash_next;
}

static struct tail *tail_of(struct block *block)
{
    return (struct tail *)(void *)(block->uops + block->uop_count);
}

void soft_drop_page(struct soft *cpu, uint64_t page)
{
    struct block **at = &cpu->pages[hash_page(page)];
    while (*at) {
        struct block *block = *at;
        if (block->phys >> 12 != page) {
            at = &block->page_next;
            continue;
        }
        unhash(cpu, block);
        *at = block->page_next;
        block->mode = MODE_DEAD;
        tail_of(block)->link[0] = tail_of(block)->link[1] = NULL;
    }
    cpu->page_flags[page] &= (uint8_t)~PAGE_CODE;
    cpu->code_lines[page] = 0;
    cpu->patch = NULL;
    soft_attend(cpu);
}

static unsigned mode_bits(uint32_t mode)
{
    return (mode & MODE_BITS) == MODE_64 ? 64 : (mode & MODE_BITS) == MODE_32 ? 32 : 16;
}

/* RIP wraps at the width of the code segment. */
static uint64_t advance(uint32_t mode, uint64_t rip, unsigned by)
{
    uint64_t next = rip + by;
    return (mode & MODE_BITS) == MODE_64 ? next : (mode & MODE_BITS) == MODE_32 ? (uint32_t)next : (uint16_t)next;
}

/* What is being built. */
struct builder {
    struct soft *cpu;
    struct block *block;
    uint64_t rip; /* of the next instruction */
    unsigned uops, insns, bytes;
    bool ended;
    struct effects effects[BLOCK_UOPS]; /* of each uop */
};

static void emit(struct builder *b, const struct uop *uop)
{
    struct uop *to = &b->block->uops[b->uops];
    *to = *uop;
    to->pos = (uint8_t)b->uops;
    to->ord = (uint8_t)b->insns;
    to->off = (uint16_t)b->bytes;
    b->uops++;
}

static void emit_observer(struct builder *b, const struct insn *insn, const struct uop *of)
{
    const struct uop uop = {.fn = uop_observe,
                            .imm = insn->length,
                            .flags = of->flags,
                            .base = REG_NONE,
                            .index = REG_NONE,
                            .seg = SEG_NONE};

    b->effects[b->uops] = (struct effects){0};
    emit(b, &uop);
}

/* Adds the instruction at bytes[0]; false when it needs more bytes than there are. */
static bool add_insn(struct builder *b, const uint8_t *bytes, unsigned available)
{
    struct soft *cpu = b->cpu;
    struct insn insn;
    struct uop uop = {.base = REG_NONE, .index = REG_NONE, .seg = SEG_NONE};
    enum insn_status status = insn_decode(bytes, available, mode_bits(cpu->mode), &insn);
    if (status == INSN_SHORT)
        return false;
    bool limited = !(cpu->mode & (MODE_64 | MODE_FLAT));
    if (limited && b->rip + insn.length - 1 > cpu->segs[SEG_CS].limit)
        status = INSN_TOO_LONG;
    uint64_t next = advance(cpu->mode, b->rip, insn.length);
    uop.fn = NULL;
    if (status == INSN_TOO_LONG)
        uop.fn = uop_general_protection;
    else if (status == INSN_OK)
        uop.fn = soft_select(&insn, cpu->mode, next, &uop);
    if (!uop.fn || status == INSN_UNDEFINED)
        uop.fn = uop_undefined;
    bool raises = uop.fn == uop_undefined || uop.fn == uop_general_protection;
    struct effects effects = soft_effects(&insn, uop.fn);
    bool observed = (cpu->mode & MODE_OBSERVED) && b->block != soft_scratch(cpu);
    if (observed)
        emit_observer(b, &insn, &uop);
    if (limited || raises || observed || insn.op != OP_JCC || b->uops == 0 ||
        !soft_fuse_branch(&b->block->uops[b->uops - 1], &b->effects[b->uops - 1], insn.sub, &uop)) {
        b->effects[b->uops] = effects;
        emit(b, &uop);
    }
    b->insns++;
    b->bytes += insn.length;
    b->rip = next;
    b->ended = raises || (insn.flags & OF_END) || (uop.flags & (UF_REP | UF_REPNE) && string_uop(&insn));
    return true;
}

static void finish(struct builder *b, uint64_t rip, uint64_t phys)
{
    struct block *block = b->block;
    block->rip = rip;
    block->phys = phys;
    block->mode = b->cpu->mode;
    block->bytes = (uint16_t)b->bytes;
    block->count = (uint8_t)b->insns;
    block->uop_count = (uint8_t)b->uops;
    *tail_of(block) = (struct tail){.fn = uop_fall_through, .next_rip = b->rip};
}

/* The block at the place of a break: the run loop does the rest. */
static UOP(uop_break)
{
    soft_stop_after(cpu, uop_block(u)->rip);
}

/* Whether a break stands before the next instruction; at the block's first, it becomes all of the block. */
static bool ends_at_break(struct builder *b, uint64_t phys)
{
    static const struct uop stop = {.fn = uop_break, .base = REG_NONE, .index = REG_NONE, .seg = SEG_NONE};

    if (!b->cpu->breaks.code || !soft_breaks_at(b->cpu, soft_fetch_linear(b->cpu, b->rip), phys + b->bytes))
        return false;
    if (b->uops == 0) {
        emit(b, &stop);
        b->effects[0] = (struct effects){0};
        b->bytes = 1;
    }
    return true;
}

static struct block *build(struct soft *cpu, uint64_t rip, uint64_t phys, const uint8_t *bytes)
{
    size_t most = sizeof(struct block) + BLOCK_UOPS * sizeof(struct uop) + sizeof(struct tail);
    if (cpu->arena_used + most > ARENA_BYTES)
        soft_drop_all(cpu);
    struct builder b = {.cpu = cpu, .block = (struct block *)(void *)(cpu->arena + cpu->arena_used), .rip = rip};
    unsigned available = 4096 - (unsigned)(phys & 4095);
    while (!b.ended && b.uops < BLOCK_UOPS - 1 && b.bytes < available) {
        uint64_t before = b.rip;
        if (ends_at_break(&b, phys))
            break;
        if (!add_insn(&b, bytes + b.bytes, available - b.bytes))
            break;
        if (b.rip < before)
            break; /* wrapped around */
    }
    if (b.uops == 0)
        return NULL;
    soft_drop_dead_flags(b.block->uops, b.effects, b.uops);
    finish(&b, rip, phys);
    struct block *block = b.block;
    cpu->arena_used += sizeof(struct block) + b.uops * sizeof(struct uop) + sizeof(struct tail);
    unsigned h = hash_address(phys, block->mode), p = hash_page(phys >> 12);
    block->hash_next = cpu->hash[h];
    cpu->hash[h] = block;
    block->page_next = cpu->pages[p];
    cpu->pages[p] = block;
    soft_mark_code(cpu, phys, b.bytes);
    return block;
}

static const uint8_t *fetch_bytes(struct soft *cpu, uint64_t phys)
{
    const uint8_t *bytes = soft_ram(cpu, phys, 1);
    if (!bytes)
        soft_give_up(cpu, NULL, "the guest executes instructions outside memory");
    return bytes;
}

struct block *soft_find_block(struct soft *cpu)
{
    uint64_t rip = cpu->rip;
    uint64_t phys = soft_translate(cpu, NULL, soft_fetch_linear(cpu, rip), ACCESS_FETCH, false);
    struct block *block = cpu->hash[hash_address(phys, cpu->mode)];
    while (block && (block->phys != phys || block->rip != rip || block->mode != cpu->mode))
        block = block->hash_next;
    if (!block) {
        const uint8_t *bytes = fetch_bytes(cpu, phys);
        block = build(cpu, rip, phys, bytes);
        if (!block)
            return soft_single_block(cpu);
    }
    bool limited = !(cpu->mode & (MODE_64 | MODE_FLAT));
    if (limited && rip + block->bytes - 1 > cpu->segs[SEG_CS].limit)
        return soft_single_block(cpu);
    soft_remember(cpu, block);
    return block;
}

struct block *soft_single_block(struct soft *cpu)
{
    uint8_t bytes[INSN_MAX];
    struct builder b = {.cpu = cpu, .block = soft_scratch(cpu), .rip = cpu->rip};
    uint64_t linear = soft_fetch_linear(cpu, cpu->rip);
    uint64_t phys = soft_translate(cpu, NULL, linear, ACCESS_FETCH, false);
    unsigned room = 4096 - (unsigned)(phys & 4095);
    unsigned available = room < INSN_MAX ? room : INSN_MAX;
    memcpy(bytes, fetch_bytes(cpu, phys), available);
    if (!add_insn(&b, bytes, available)) {
        uint64_t second = soft_translate(cpu, NULL, (linear + room) & cpu->linear_mask, ACCESS_FETCH, false);
        memcpy(bytes + available, fetch_bytes(cpu, second), INSN_MAX - available);
        add_insn(&b, bytes, INSN_MAX);
    }
    finish(&b, cpu->rip, phys);
    return b.block;
}
