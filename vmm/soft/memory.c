/*
 * Memory accesses that the TLB does not answer, and the upkeep of the TLB; see memory.h and soft.h.
 */
#include "vmm/soft/memory.h"

#include "vmm/soft/breaks.h"
#include "vmm/soft/observe.h"

#define PAGE_OFFSET UINT64_C(0xfff)

uint8_t *soft_ram(const struct soft *cpu, uint64_t phys, uint64_t length)
{
    if (phys > cpu->ram->size || length > cpu->ram->size - phys)
        return NULL;
    return cpu->ram->bytes + phys;
}

void soft_mark_dirty(struct soft *cpu, uint64_t phys)
{
    uint64_t page = phys >> 12;
    cpu->dirty[page / 64] |= UINT64_C(1) << (page % 64);
}

/* An entry of index i must never match an address of index i: give it the page number of another index. */
static void clear_entries(struct tlb_entry *entries, unsigned count)
{
    for (unsigned i = 1; i < count; i++)
        entries[i].tag = 0;
    entries[0].tag = 4096;
}

void soft_flush_tlb(struct soft *cpu)
{
    for (unsigned i = 0; i < TLB_COUNT; i++) {
        struct tlb *tlb = &cpu->tlbs[i];
        if (!tlb->used)
            continue;
        clear_entries(tlb->read, TLB_ENTRIES);
        clear_entries(tlb->write, TLB_ENTRIES);
        clear_entries(tlb->fetch, TLB_ENTRIES);
        clear_entries(tlb->guarded, GUARD_ENTRIES);
        tlb->used = false;
    }
    for (unsigned i = 0; i < cpu->table_count; i++)
        cpu->page_flags[cpu->table_pages[i]] &= (uint8_t) ~(PAGE_TABLE | PAGE_LISTED);
    cpu->table_count = 0;
    soft_attend(cpu);
}

void soft_flush_writes(struct soft *cpu)
{
    for (unsigned i = 0; i < TLB_COUNT; i++) {
        clear_entries(cpu->tlbs[i].write, TLB_ENTRIES);
        clear_entries(cpu->tlbs[i].guarded, GUARD_ENTRIES);
    }
}

/* Takes the write entries of one page out of every TLB. */
static void drop_write_entries(struct soft *cpu, uint64_t page)
{
    if (!(cpu->page_flags[page] & PAGE_CACHED))
        return;
    uint64_t host = (uint64_t)(uintptr_t)cpu->ram->bytes + (page << 12);
    for (unsigned i = 0; i < TLB_COUNT; i++) {
        struct tlb *tlb = &cpu->tlbs[i];
        for (unsigned j = 0; tlb->used && j < TLB_ENTRIES; j++)
            if (tlb->write[j].tag + tlb->write[j].addend == host)
                tlb->write[j].tag = j ? 0 : 4096;
    }
    cpu->page_flags[page] &= (uint8_t)~PAGE_CACHED;
}

void soft_mark_table(struct soft *cpu, uint64_t phys)
{
    uint64_t page = phys >> 12;
    if (cpu->page_flags[page] & PAGE_TABLE)
        return;
    if (cpu->table_count == TABLE_PAGES)
        soft_flush_tlb(cpu);
    drop_write_entries(cpu, page);
    cpu->page_flags[page] |= PAGE_TABLE;
    cpu->table_pages[cpu->table_count++] = (uint32_t)page;
}

static uint64_t lines_of(uint64_t phys, uint64_t length)
{
    unsigned first = (phys & PAGE_OFFSET) >> 6, last = ((phys + length - 1) & PAGE_OFFSET) >> 6;
    return (UINT64_MAX << first) & (UINT64_MAX >> (63 - last));
}

void soft_mark_code(struct soft *cpu, uint64_t phys, unsigned length)
{
    uint64_t page = phys >> 12;
    drop_write_entries(cpu, page);
    cpu->page_flags[page] |= PAGE_CODE;
    cpu->code_lines[page] |= lines_of(phys, length);
}

bool soft_holds_code(const struct soft *cpu, uint64_t phys, uint64_t length)
{
    return (cpu->page_flags[phys >> 12] & PAGE_CODE) && (cpu->code_lines[phys >> 12] & lines_of(phys, length));
}

/* Whether [phys, phys + length) touches an entry of a page table that is present, be it of 4 or 8 bytes. Translations
 * come by way of present entries only (SDM volume 3, 4.10.2.3): mapping a page leaves those that there are alone. */
static bool touches_present(const struct soft *cpu, uint64_t phys, uint64_t length)
{
    for (uint64_t at = phys & ~UINT64_C(7); at < phys + length; at += 8) {
        const uint8_t *word = soft_ram(cpu, at, 8);
        if ((word[0] | word[4]) & 1)
            return true;
    }
    return false;
}

/* Whether a write to [phys, phys + length), in one page, needs soft_ram_changed. Asked before it is made. */
static bool write_matters(const struct soft *cpu, uint64_t phys, uint64_t length)
{
    bool table = cpu->page_flags[phys >> 12] & PAGE_TABLE;
    return soft_holds_code(cpu, phys, length) || (table && touches_present(cpu, phys, length));
}

void soft_ram_changed(struct soft *cpu, uint64_t phys, uint64_t length)
{
    for (uint64_t at = phys; at < phys + length; at = (at | PAGE_OFFSET) + 1) {
        uint64_t room = (at | PAGE_OFFSET) + 1 - at, rest = phys + length - at;
        uint64_t part = room < rest ? room : rest, page = at >> 12;
        if (page >= cpu->page_count)
            return;
        if (cpu->page_flags[page] & PAGE_TABLE)
            soft_flush_tlb(cpu);
        if (soft_holds_code(cpu, at, part))
            soft_drop_page(cpu, page);
    }
}

static struct tlb *tlb_for(struct soft *cpu, bool system)
{
    return system ? &cpu->tlbs[TLB_SUPERVISOR] : cpu->tlb;
}

static void fill(struct soft *cpu, struct tlb *tlb, uint64_t linear, uint64_t phys, enum access access)
{
    if (cpu->no_tlb)
        return;
    uint64_t page = linear & ~PAGE_OFFSET;
    struct tlb_entry entry = {page, (phys & ~PAGE_OFFSET)};
    unsigned index = tlb_index(linear);
    tlb->used = true;
    if (access == ACCESS_FETCH) {
        tlb->fetch[index] = entry;
        return;
    }
    if (!soft_ram(cpu, phys & ~PAGE_OFFSET, 4096) || soft_observes_memory(cpu) || soft_breaks_page(cpu, linear, phys))
        return;
    uint64_t host = (uint64_t)(uintptr_t)cpu->ram->bytes + entry.addend - page;
    if (access == ACCESS_READ) {
        tlb->read[index] = (struct tlb_entry){page, host};
        return;
    }
    uint8_t *flags = &cpu->page_flags[phys >> 12];
    soft_mark_dirty(cpu, phys);
    if (*flags & (PAGE_CODE | PAGE_TABLE)) {
        tlb->guarded[(linear >> 12) % GUARD_ENTRIES] = entry;
    } else {
        tlb->write[index] = (struct tlb_entry){page, host};
        *flags |= PAGE_CACHED;
    }
}

static _Noreturn void raise_noncanonical(struct soft *cpu, const struct uop *u)
{
    soft_raise_code(cpu, u, u && (u->flags & UF_STACK) ? EXC_SS : EXC_GP, 0);
}

/* What the TLB knows of `linear`, as a physical address. */
static bool cached(const struct soft *cpu, const struct tlb *tlb, uint64_t linear, enum access access, uint64_t *phys)
{
    uint64_t page = linear & ~PAGE_OFFSET;
    const struct tlb_entry *entry = &tlb->read[tlb_index(linear)];
    if (access == ACCESS_FETCH)
        entry = &tlb->fetch[tlb_index(linear)];
    if (access == ACCESS_WRITE) {
        const struct tlb_entry *guarded = &tlb->guarded[(linear >> 12) % GUARD_ENTRIES];
        if (guarded->tag == page) {
            *phys = guarded->addend | (linear & PAGE_OFFSET);
            return true;
        }
        entry = &tlb->write[tlb_index(linear)];
    }
    if (entry->tag != page)
        return false;
    *phys = access == ACCESS_FETCH ? entry->addend | (linear & PAGE_OFFSET)
                                   : entry->addend + linear - (uint64_t)(uintptr_t)cpu->ram->bytes;
    return true;
}

uint64_t soft_translate(struct soft *cpu, const struct uop *u, uint64_t linear, enum access access, bool system)
{
    struct tlb *tlb = tlb_for(cpu, system);
    uint64_t phys;
    if (cached(cpu, tlb, linear, access, &phys))
        return phys;
    if (soft_long_mode(cpu) && !soft_canonical(linear))
        raise_noncanonical(cpu, u);
    uint32_t code = 0;
    bool user = cpu->cpl == 3 && !system;
    if (!soft_walk(cpu, u, linear, access, user, system, &phys, &code)) {
        soft_sync(cpu, u);
        cpu->cr2 = linear;
        soft_raise_code(cpu, NULL, EXC_PF, code);
    }
    fill(cpu, tlb, linear, phys, access);
    /* A table that the walk marked may hold the very code that is being executed. */
    if (u && uop_block(u)->mode == MODE_DEAD)
        soft_alone(cpu, u);
    return phys;
}

/* The parts of an access: one, or two when it crosses into another page. */
struct span {
    uint64_t linear[2], phys[2];
    unsigned length[2];
    unsigned parts;
};

static struct span span_of(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned length, enum access access,
                           bool system)
{
    struct span span = {.parts = 1, .length = {length, 0}, .linear = {linear, 0}};
    span.phys[0] = soft_translate(cpu, u, linear, access, system);
    unsigned room = 4096 - (linear & PAGE_OFFSET);
    if (length > room) {
        span.parts = 2;
        span.length[0] = room;
        span.length[1] = length - room;
        uint64_t second = linear + room;
        if (!soft_long_mode(cpu))
            second &= 0xffffffff;
        span.linear[1] = second;
        span.phys[1] = soft_translate(cpu, u, second, access, system);
        /* The second walk may have forgotten the first page's entry, but its translation stands. */
    }
    return span;
}

/* Whether a span can be read or written without leaving the block; else leaves it. */
static void settle(struct soft *cpu, const struct uop *u, const struct span *span, bool write)
{
    for (unsigned i = 0; i < span->parts; i++) {
        bool ram = soft_ram(cpu, span->phys[i], span->length[i]);
        if (!ram || (write && write_matters(cpu, span->phys[i], span->length[i])) ||
            soft_breaks_access(cpu, span->linear[i], span->phys[i], span->length[i], write))
            soft_alone(cpu, u);
    }
}

void soft_check_alignment(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned length)
{
    bool checked = (cpu->cr0 & CR0_AM) && (cpu->rflags & RFLAGS_AC) && cpu->cpl == 3;
    if (checked && length <= 8 && (linear & (length - 1)))
        soft_raise_code(cpu, u, EXC_AC, 0);
}

/* DR7's R/W fields, SDM volume 3, 17.2.4. */
enum { BREAK_EXECUTE, BREAK_WRITE, BREAK_PORT, BREAK_ACCESS };

/* Notes which breakpoints of those `kinds` (bits) are hit by an access to [address, address + length). */
static void note_hits(struct soft *cpu, uint64_t address, unsigned length, unsigned kinds)
{
    static const uint8_t lengths[4] = {1, 2, 8, 4};
    for (unsigned i = 0; i < 4; i++) {
        bool enabled = (cpu->dr7 >> (2 * i)) & 3;
        unsigned kind = (cpu->dr7 >> (16 + 4 * i)) & 3, span = lengths[(cpu->dr7 >> (18 + 4 * i)) & 3];
        uint64_t base = cpu->dr[i] & ~(uint64_t)(span - 1);
        if (enabled && (kinds >> kind & 1) && address < base + span && base < address + length)
            cpu->bp_hits |= 1u << i;
    }
}

static void watch(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned length, bool write)
{
    if (!cpu->no_tlb)
        return;
    soft_check_alignment(cpu, u, linear, length);
    note_hits(cpu, linear, length, write ? 1u << BREAK_WRITE | 1u << BREAK_ACCESS : 1u << BREAK_ACCESS);
}

void soft_watch_port(struct soft *cpu, uint16_t port, unsigned size)
{
    if (cpu->cr4 & CR4_DE)
        note_hits(cpu, port, size, 1u << BREAK_PORT);
}

void soft_exit_done(struct soft *cpu)
{
    cpu->in_exit = false;
    cpu->exit_number = cpu->engine.exits;
    cpu->exit_ticks = soft_ticks(cpu);
    soft_attend(cpu);
}

uint64_t soft_exit_read(struct soft *cpu, enum engine_space space, uint64_t address, unsigned size)
{
    soft_x87_settle(cpu);
    cpu->in_exit = true;
    uint64_t value = engine_exit_read(&cpu->engine, space, address, size);
    soft_exit_done(cpu);
    return value;
}

void soft_exit_write(struct soft *cpu, enum engine_space space, uint64_t address, unsigned size, uint64_t value)
{
    soft_x87_settle(cpu);
    cpu->in_exit = true;
    engine_exit_write(&cpu->engine, space, address, size, value);
    soft_exit_done(cpu);
}

static void read_span(struct soft *cpu, const struct span *span, uint8_t *bytes)
{
    for (unsigned i = 0; i < span->parts; bytes += span->length[i], i++) {
        const uint8_t *ram = soft_ram(cpu, span->phys[i], span->length[i]);
        if (ram) {
            memcpy(bytes, ram, span->length[i]);
            continue;
        }
        for (unsigned done = 0; done < span->length[i];) {
            unsigned size = span->length[i] - done < 8 ? span->length[i] - done : 8;
            /* What a device sees is an access of a power of two. */
            size = size & (size - 1) ? 1 : size;
            uint64_t value = soft_exit_read(cpu, ENGINE_MEMORY, span->phys[i] + done, size);
            memcpy(bytes + done, &value, size);
            done += size;
        }
    }
}

static void write_span(struct soft *cpu, const struct span *span, const uint8_t *bytes)
{
    for (unsigned i = 0; i < span->parts; bytes += span->length[i], i++) {
        uint8_t *ram = soft_ram(cpu, span->phys[i], span->length[i]);
        if (ram) {
            if (write_matters(cpu, span->phys[i], span->length[i]))
                soft_ram_changed(cpu, span->phys[i], span->length[i]);
            soft_mark_dirty(cpu, span->phys[i]);
            memcpy(ram, bytes, span->length[i]);
            continue;
        }
        for (unsigned done = 0; done < span->length[i];) {
            unsigned size = span->length[i] - done < 8 ? span->length[i] - done : 8;
            size = size & (size - 1) ? 1 : size;
            uint64_t value = 0;
            memcpy(&value, bytes + done, size);
            soft_exit_write(cpu, ENGINE_MEMORY, span->phys[i] + done, size, value);
            done += size;
        }
    }
}

/* For breaks and observers. */
static void note_span(struct soft *cpu, const struct uop *u, const struct span *span, bool write)
{
    for (unsigned i = 0; i < span->parts; i++) {
        soft_breaks_note(cpu, span->linear[i], span->phys[i], span->length[i], write);
        soft_observe_access(cpu, u, span->linear[i], span->phys[i], span->length[i], write);
    }
}

static void load_any(struct soft *cpu, const struct uop *u, uint64_t linear, void *bytes, unsigned length, bool system)
{
    struct span span = span_of(cpu, u, linear, length, ACCESS_READ, system);
    if (!system)
        watch(cpu, u, linear, length, false);
    settle(cpu, u, &span, false);
    note_span(cpu, u, &span, false);
    read_span(cpu, &span, bytes);
}

static void store_any(struct soft *cpu, const struct uop *u, uint64_t linear, const void *bytes, unsigned length,
                      bool system)
{
    struct span span = span_of(cpu, u, linear, length, ACCESS_WRITE, system);
    if (!system)
        watch(cpu, u, linear, length, true);
    settle(cpu, u, &span, true);
    note_span(cpu, u, &span, true);
    write_span(cpu, &span, bytes);
}

/* Copies of the usual sizes are single moves. */
static inline void copy_sized(void *to, const void *from, unsigned size)
{
    switch (size) {
    case 1:
        memcpy(to, from, 1);
        break;
    case 2:
        memcpy(to, from, 2);
        break;
    case 4:
        memcpy(to, from, 4);
        break;
    case 8:
        memcpy(to, from, 8);
        break;
    default:
        memcpy(to, from, size);
        break;
    }
}

static inline uint64_t load(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned size, bool system)
{
    uint64_t value = 0;
    const uint8_t *host = soft_fast(tlb_for(cpu, system)->read, linear, size);
    if (host)
        copy_sized(&value, host, size);
    else
        load_any(cpu, u, linear, &value, size, system);
    return value;
}

static inline void store(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned size, uint64_t value,
                         bool system)
{
    uint8_t *host = soft_fast(tlb_for(cpu, system)->write, linear, size);
    if (host)
        copy_sized(host, &value, size);
    else
        store_any(cpu, u, linear, &value, size, system);
}

uint64_t soft_load(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned size)
{
    return load(cpu, u, linear, size, false);
}

void soft_store(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned size, uint64_t value)
{
    store(cpu, u, linear, size, value, false);
}

uint64_t soft_system_load(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned size)
{
    return load(cpu, u, linear, size, true);
}

void soft_system_store(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned size, uint64_t value)
{
    store(cpu, u, linear, size, value, true);
}

void soft_load_bytes(struct soft *cpu, const struct uop *u, uint64_t linear, void *bytes, unsigned length)
{
    load_any(cpu, u, linear, bytes, length, false);
}

void soft_store_bytes(struct soft *cpu, const struct uop *u, uint64_t linear, const void *bytes, unsigned length)
{
    store_any(cpu, u, linear, bytes, length, false);
}

void soft_probe_read(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned length)
{
    struct span span = span_of(cpu, u, linear, length, ACCESS_READ, false);
    settle(cpu, u, &span, false);
}

void soft_probe_write(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned length)
{
    if (soft_fast(cpu->tlb->write, linear, length))
        return;
    struct span span = span_of(cpu, u, linear, length, ACCESS_WRITE, false);
    settle(cpu, u, &span, true);
}

void soft_system_probe_write(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned length)
{
    struct span span = span_of(cpu, u, linear, length, ACCESS_WRITE, true);
    settle(cpu, u, &span, true);
}
