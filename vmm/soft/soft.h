/*
 * The inside of the soft engine.
 *
 * Guest code is decoded once into blocks: straight runs of micro-operations that lie in one page. A micro-operation
 * (uop) holds the function that executes it and its operands; that function ends in a tail call to the next uop's, and
 * the last one of a block goes to the next block directly when it knows it. struct soft holds the processor.
 *
 * Where things stand in mid-block is not written down as execution goes. A uop knows its own place in its block, so
 * when something needs RIP or the tick count (a fault, an exit), soft_sync works them out. `left`, the instructions
 * left until the run must stop, is charged for a whole block when it is entered; soft_sync gives back what was not
 * done.
 *
 * Whatever must happen at an instruction boundary with the whole state in place (an exit, a write to decoded code or to
 * a page table in use) happens only in the last instruction of a block. When another instruction turns out to need it,
 * soft_alone leaves the block before that instruction had any effect, and it is executed again as a block by itself.
 * So every handler touches registers and flags only after its last memory access that can fail.
 *
 * Faults and soft_alone leave the handlers by longjmp to soft_run, and nothing else does.
 */
#ifndef ENCORE_VMM_SOFT_SOFT_H
#define ENCORE_VMM_SOFT_SOFT_H

#include <setjmp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/engine.h"
#include "vmm/soft/insn.h"

struct soft;
struct uop;

typedef void uop_fn(struct soft *cpu, const struct uop *u);

/* Segment registers by their encoding; then those that only the processor itself uses. */
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_NONE, SEG_TR = SEG_NONE, SEG_LDT, SEG_COUNT };

/* uop.flags */
enum {
    UF_CHECK = 1,   /* segment limits and rights must be checked */
    UF_ADDR16 = 2,  /* effective addresses wrap at 16 bits */
    UF_ADDR32 = 4,  /* ... at 32 */
    UF_MEMORY = 8,  /* rm is memory */
    UF_STACK = 16,  /* a non-canonical address is #SS, not #GP */
    UF_REP = 32,    /* F3 */
    UF_REPNE = 64,  /* F2 */
    UF_PREFIX = 128 /* 66 */
};
#define UF_ODD_ADDRESS (UF_CHECK | UF_ADDR16)

/* One micro-operation: 32 bytes. Register operands are byte offsets into soft.regs. */
struct uop {
    uop_fn *fn;
    uint64_t disp; /* displacement, long immediate, or branch target */
    int32_t imm;
    uint8_t dst, src;
    uint8_t base, index; /* register numbers; 16 is zero */
    uint8_t scale;
    uint8_t seg;
    uint8_t flags;
    uint8_t size; /* of the operand, bytes */
    uint8_t pos;  /* index of this uop in its block */
    uint8_t ord;  /* instructions of the block before this uop's first */
    uint16_t off; /* of the instruction from the block's first byte */
};

/* What follows a block's last uop. Its `fn` is where a last uop that is no branch falls through to. */
struct tail {
    uop_fn *fn;
    uint64_t next_rip;     /* of the instruction after the block */
    struct block *link[2]; /* the blocks that follow in the same page: falling through, and branching */
};

#define BLOCK_UOPS 48

struct block {
    uint64_t rip;
    uint64_t phys;           /* of the first byte */
    struct block *hash_next; /* same bucket, by physical address and mode */
    struct block *page_next; /* same bucket, by physical page */
    uint32_t mode;           /* MODE_DEAD once its page was written */
    uint16_t bytes;
    uint8_t count; /* instructions */
    uint8_t uop_count;
    struct uop uops[]; /* then a struct tail */
};

/* soft.mode: what the meaning of code bytes depends on. */
enum {
    MODE_16 = 0,
    MODE_32 = 1,
    MODE_64 = 2,
    MODE_BITS = 3,
    MODE_FLAT = 4,      /* outside 64-bit mode: CS, SS, DS and ES span all 4 GiB, and may be read and written */
    MODE_PROTECTED = 8, /* neither real nor virtual-8086 */
    MODE_STACK16 = 16,  /* pushes use SP */
    MODE_STACK32 = 32,
    MODE_CPL_SHIFT = 6,  /* two bits */
    MODE_BREAKS = 256,   /* blocks end before the places of EXECUTE breaks */
    MODE_OBSERVED = 512, /* each instruction is told to the observer */
    MODE_DEAD = 0x80000000
};

#define TLB_ENTRIES   256
#define GUARD_ENTRIES 64

/* `(address ^ tag) <= 4096 - size` is true when all `size` bytes at `address` lie in the page that this entry maps. */
struct tlb_entry {
    uint64_t tag;
    uint64_t addend; /* host address minus guest-linear; for fetches and guarded writes the page's physical address */
};

/* Where a page's entry stands. Programs keep apart what they use together by round numbers, so that the low bits of the
 * page's number alone would often be the same. */
static inline unsigned tlb_index(uint64_t linear)
{
    return (unsigned)((linear >> 12 ^ linear >> 20) % TLB_ENTRIES);
}

/*
 * Translations in use at one privilege. They are never stale: a page whose contents were used as a table is marked, and
 * writing it forgets all. So what the guest sees does not depend on what happens to be cached.
 */
struct tlb {
    struct tlb_entry read[TLB_ENTRIES];
    struct tlb_entry write[TLB_ENTRIES]; /* pages dirty already, and neither code nor table */
    struct tlb_entry fetch[TLB_ENTRIES];
    struct tlb_entry guarded[GUARD_ENTRIES]; /* writable pages where each write must be looked at */
    bool used;
};

enum { TLB_USER, TLB_SUPERVISOR, TLB_SUPERVISOR_AC, TLB_COUNT };

/* soft.page_flags, a byte for each page of RAM */
enum {
    PAGE_CODE = 1,   /* blocks were decoded from it: code_lines says where */
    PAGE_TABLE = 2,  /* translations in some TLB came through it */
    PAGE_CACHED = 4, /* some TLB may hold a write entry for it */
    PAGE_LISTED = 8, /* in table_pages */
};

#define JUMP_ENTRIES 4096
#define HASH_ENTRIES 16384
#define ARENA_BYTES  (12u << 20)
#define TABLE_PAGES  4096

/* The FXSAVE image, SDM volume 1, 10.5.1: where the x87 and SSE state lives. */
struct fx_image {
    uint16_t fcw, fsw;
    uint8_t ftw, reserved;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[8][16];
    uint8_t xmm[16][16];
    uint8_t unused[96];
} __attribute__((aligned(64)));

/* Brings an image from outside into a form that the x87 itself could have left: reserved bits of the control word as
 * FLDCW leaves them; ES and B set when an exception that is flagged is unmasked (SDM volume 1, 8.1.3.3), and only then.
 * The host would trap on anything else. */
static inline void fx_settle(struct fx_image *fx)
{
    fx->fcw = (uint16_t)((fx->fcw & 0x1f3f) | 0x40);
    fx->fsw &= (uint16_t)~0x8080u;
    if (fx->fsw & ~fx->fcw & 0x3f)
        fx->fsw |= 0x8080;
}

/* soft.raised, apart from vectors. */
enum { RAISED_NOTHING = 0xff, RAISED_INTERRUPT = 0xfe };

/* The breaks of a run; breaks.c. */
struct soft_breaks {
    struct engine_break list[ENGINE_BREAKS_MAX]; /* as last asked for: blocks with MODE_BREAKS were built for them */
    size_t count;
    bool code, data; /* the run has such breaks */
    bool linear;     /* EXECUTE breaks at linear addresses */
    bool found;      /* an access was found: `hit` */
    struct engine_hit hit;
    bool told; /* at this boundary a run was ended for an EXECUTE break: */
    uint64_t told_exits, told_ticks;
};

/* What is to be told to an observer; observe.c. */
#define OBSERVED_ACCESSES 64
struct soft_observed {
    struct engine_observer to;
    bool blocks;    /* somebody watches instructions, branches or accesses */
    bool pending;   /* an instruction was begun: */
    bool repeats;   /* it is a REP string instruction */
    bool delivered; /* and has delivered an event */
    uint64_t rip, next, tick;
    unsigned access_count;
    struct engine_access accesses[OBSERVED_ACCESSES];
};

/* Why the handlers were left by longjmp. */
enum escape { ESCAPE_NONE, ESCAPE_EXCEPTION, ESCAPE_ALONE, ESCAPE_SHUTDOWN, ESCAPE_FAULT };

struct soft {
    struct engine engine; /* first: the public face */

    /* What executing instructions touches most. */
    uint64_t regs[18]; /* 16 registers; [REG_NONE] is always zero */
    /* The status flags, as results from which each is worked out when it is asked for; see flags.h. */
    uint64_t flag_zero, flag_sign, flag_carry;
    int64_t left;       /* instructions until the run must stop */
    atomic_bool kicked; /* engine_kick, from any thread */
    bool attention;     /* state changed that the run loop must look at */
    uint32_t mode;
    struct tlb *tlb; /* of the present privilege */
    uint64_t seg_base[SEG_COUNT];
    uint64_t linear_mask; /* 2^32 - 1 outside long mode */
    uint64_t rip;         /* exact at boundaries only */
    uint64_t limit;       /* ticks = limit - left */
    uint64_t alarm;       /* engine.alarm, when limit was set */
    struct block **patch; /* where to note the next block, or NULL */

    /* The rest of the processor. */
    uint64_t rflags; /* all but the six status flags */
    struct segment segs[6];
    struct segment tr, ldt;
    struct descriptor_table gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, cr8, efer;
    uint64_t star, lstar, cstar, fmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, pat;
    uint64_t tsc_adjust;
    uint32_t tsc_aux;
    uint64_t dr[4], dr6, dr7;
    unsigned cpl;
    bool shadow, nmi_blocked;
    bool shadow_ss; /* the shadow is that of MOV SS or POP SS, which holds off debug exceptions too */
    bool halting;   /* a HLT that the caller has not been told of */
    struct fx_image fx;
    bool x87_on_host; /* the x87's part of fx is in the host's registers: soft_x87_settle brings it back */

    /* The run in progress. */
    jmp_buf escape;
    bool alone;   /* execute one instruction by itself next */
    bool in_exit; /* inside a host call: the instruction that made it is charged already */
    uint8_t event_vector;
    bool event_has_code;
    uint32_t event_code;
    uint8_t raised;      /* the exception whose delivery is under way, or one of RAISED_ */
    bool delivered;      /* the current instruction delivered an event itself: INT n */
    uint64_t pending_db; /* DR6 bits of a debug trap to take at the next boundary */
    unsigned bp_hits;    /* data breakpoints that the current instruction hit */

    /* What else ends the run: struct engine_stops. */
    uint64_t stop_tick; /* UINT64_MAX: none */
    bool stepping;
    uint64_t step_exits, step_ticks; /* where the step began */
    struct soft_breaks breaks;
    struct soft_observed observed;

    /* The last exit that an instruction made, and the tick count at the boundary after it. */
    uint64_t exit_number, exit_ticks;

    /* Memory, and what was decoded from it. */
    struct ram *ram;
    uint64_t page_count;
    uint8_t *page_flags;
    uint64_t *code_lines;  /* for each page: bit n set when its 64-byte line n holds decoded code */
    uint64_t *dirty;       /* pages written since the last collect_dirty; as ram->dirty */
    uint32_t *table_pages; /* those with PAGE_TABLE, table_count of them */
    unsigned table_count;
    bool no_tlb; /* data breakpoints are armed: every access takes the long way */
    struct tlb tlbs[TLB_COUNT];
    struct block *jump[JUMP_ENTRIES];
    struct block **hash;  /* HASH_ENTRIES, by physical address */
    struct block **pages; /* HASH_ENTRIES, by physical page */
    uint8_t *arena;
    size_t arena_used;
    uint64_t arena_generation; /* rises when all blocks are forgotten */
    /* The block of an instruction executed by itself: one uop, and the tail in the place of two more. */
    _Alignas(struct block) uint8_t scratch[sizeof(struct block) + 3 * sizeof(struct uop)];
};

/* Tail calls carry one uop to the next. Without optimisation, and under sanitizers, compilers do not promise them:
 * then blocks return to the run loop instead of going on to the next, and the stack stays as deep as one block. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
#define SOFT_CHAIN 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SOFT_CHAIN 0
#else
#define SOFT_CHAIN 1
#endif
#else
#define SOFT_CHAIN 1
#endif

#define UOP(name) void name(struct soft *cpu, const struct uop *u)
#define NEXT()    return (u[1].fn)(cpu, u + 1)

/* The last uop of a block is followed by the block's tail. */
static inline struct tail *uop_tail(const struct uop *u)
{
    return (struct tail *)(uintptr_t)(u + 1);
}

static inline struct block *uop_block(const struct uop *u)
{
    return (struct block *)((uintptr_t)(u - u->pos) - offsetof(struct block, uops));
}

static inline bool uop_is_last(const struct uop *u)
{
    return u->pos + 1 == uop_block(u)->uop_count;
}

static inline struct block *soft_scratch(struct soft *cpu)
{
    return (struct block *)(void *)cpu->scratch;
}

/* run.c */

/* Brings rip and left to where they are before the instruction of `u`. NULL: they are exact already. */
void soft_sync(struct soft *cpu, const struct uop *u);

/* The ticks done before the instruction of `u`. */
uint64_t soft_ticks_before(const struct soft *cpu, const struct uop *u);

/* Raises a fault in the instruction of `u` (NULL: at cpu->rip). */
_Noreturn void soft_raise(struct soft *cpu, const struct uop *u, uint8_t vector);
_Noreturn void soft_raise_code(struct soft *cpu, const struct uop *u, uint8_t vector, uint32_t code);

/* Unless `u` is the last of its block (or NULL): leaves the block and executes the instruction again by itself. */
void soft_alone(struct soft *cpu, const struct uop *u);

/* Ends the run: the guest does what the engine does not model. */
_Noreturn void soft_give_up(struct soft *cpu, const struct uop *u, const char *what);
_Noreturn void soft_shutdown(struct soft *cpu);

static inline void soft_attend(struct soft *cpu)
{
    cpu->attention = true;
}

/* No interrupt is taken before the next instruction is complete. */
static inline void soft_set_shadow(struct soft *cpu)
{
    cpu->shadow = true;
    soft_attend(cpu);
}

/* Whether the run loop is wanted soon: asked between blocks, and by long instructions between their elements. */
static inline bool soft_interrupted(struct soft *cpu)
{
    return atomic_load_explicit(&cpu->kicked, memory_order_relaxed) | cpu->attention;
}

/* block.c */

/* The block at cpu->rip; decodes it if need be. May raise the faults of an instruction fetch. */
struct block *soft_find_block(struct soft *cpu);
/* The instruction at cpu->rip as a block of its own. */
struct block *soft_single_block(struct soft *cpu);
/* Forgets the blocks of a page whose bytes [offset, offset + length) are written. */
void soft_drop_page(struct soft *cpu, uint64_t page);
void soft_drop_all(struct soft *cpu);

/* select.c: the micro-operation for an instruction; NULL when it is undefined in this mode. */
uop_fn *soft_select(const struct insn *insn, uint32_t mode, uint64_t next_rip, struct uop *u);

/* The linear address from which the instruction at `rip` is fetched. */
static inline uint64_t soft_fetch_linear(const struct soft *cpu, uint64_t rip)
{
    return (rip + cpu->seg_base[SEG_CS]) & cpu->linear_mask;
}

/* Goes on at `rip`, which may be anywhere. */
void soft_jump(struct soft *cpu, uint64_t rip);

static inline __attribute__((always_inline)) void soft_enter(struct soft *cpu, struct block *block)
{
    cpu->left -= block->count;
    if (__builtin_expect((cpu->left < 0) | soft_interrupted(cpu), 0)) {
        cpu->left += block->count;
        cpu->rip = block->rip;
        return;
    }
    return block->uops[0].fn(cpu, block->uops);
}

/* Ends a block after an instruction that changed what the run loop must look at. */
static inline void soft_stop_after(struct soft *cpu, uint64_t rip)
{
    cpu->rip = rip;
    cpu->patch = NULL;
}

/* exec_x87.c */

void soft_x87_save(struct soft *cpu);

/* Brings the x87's state into cpu->fx, and the host's x87 into the state that compiled code wants. */
static inline void soft_x87_settle(struct soft *cpu)
{
    if (__builtin_expect(cpu->x87_on_host, 0))
        soft_x87_save(cpu);
}

/* processor.c */

/* Recomputes what is derived from control registers, segments and RFLAGS: mode, tlb, seg_base, linear_mask. */
void soft_update_mode(struct soft *cpu);
uint64_t soft_ticks(const struct soft *cpu);

static inline bool soft_long_mode(const struct soft *cpu)
{
    return cpu->efer & EFER_LMA;
}

static inline bool soft_64bit(const struct soft *cpu)
{
    return (cpu->mode & MODE_BITS) == MODE_64;
}

static inline bool soft_canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

/* Exceptions, SDM volume 3, table 6-1. */
enum {
    EXC_DE = 0,
    EXC_DB = 1,
    EXC_BP = 3,
    EXC_OF = 4,
    EXC_BR = 5,
    EXC_UD = 6,
    EXC_NM = 7,
    EXC_DF = 8,
    EXC_TS = 10,
    EXC_NP = 11,
    EXC_SS = 12,
    EXC_GP = 13,
    EXC_PF = 14,
    EXC_MF = 16,
    EXC_AC = 17,
    EXC_XM = 19
};

#define RFLAGS_CF     0x1u
#define RFLAGS_PF     0x4u
#define RFLAGS_AF     0x10u
#define RFLAGS_ZF     0x40u
#define RFLAGS_SF     0x80u
#define RFLAGS_DF     0x400u
#define RFLAGS_OF     0x800u
#define RFLAGS_IOPL   0x3000u
#define RFLAGS_NT     0x4000u
#define RFLAGS_RF     0x10000u
#define RFLAGS_VM     0x20000u
#define RFLAGS_AC     0x40000u
#define RFLAGS_VIF    0x80000u
#define RFLAGS_VIP    0x100000u
#define RFLAGS_ID     0x200000u
#define RFLAGS_STATUS 0x8d5u
#define DR6_BD        0x2000u
#define DR6_BS        0x4000u
#define DR6_BT        0x8000u
#define DR7_GD        0x2000u
#define CR4_VME       0x1u
#define CR4_PVI       0x2u
#define CR4_TSD       0x4u
#define CR4_DE        0x8u
#define CR4_MCE       0x40u
#define CR4_PGE       0x80u
#define CR4_PCE       0x100u
#define CR4_FSGSBASE  0x10000u
#define CR4_SMEP      0x100000u
#define CR4_SMAP      0x200000u
#define PHYSICAL_BITS 40

static inline unsigned soft_iopl(const struct soft *cpu)
{
    return (cpu->rflags >> 12) & 3;
}

static inline bool soft_v86(const struct soft *cpu)
{
    return cpu->rflags & RFLAGS_VM;
}

static inline bool soft_protected(const struct soft *cpu)
{
    return (cpu->cr0 & CR0_PE) && !soft_v86(cpu);
}

#endif
