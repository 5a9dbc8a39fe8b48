/*
 * Segments and descriptors: SDM volume 3, chapters 3 and 5.
 */
#ifndef ENCORE_VMM_SOFT_SEGMENT_H
#define ENCORE_VMM_SOFT_SEGMENT_H

#include "vmm/soft/soft.h"

#define TYPE_CODE       8u /* of a descriptor with S set */
#define TYPE_WRITABLE   2u /* data: writable; code: readable */
#define TYPE_EXPANDDOWN 4u /* data: expand-down; code: conforming */
#define TYPE_CONFORMING 4u

/* A descriptor as read from a table, and where it was. */
struct descriptor {
    uint64_t raw;
    uint64_t high;   /* the second half of the 16-byte descriptors of long mode */
    uint64_t linear; /* where it is */
    uint16_t selector;
};

static inline unsigned segment_type(const struct segment *s)
{
    return s->attributes & SEGMENT_TYPE;
}

static inline unsigned segment_dpl(const struct segment *s)
{
    return (s->attributes & SEGMENT_DPL) >> SEGMENT_DPL_SHIFT;
}

/* Code or data, and of the kind asked for. */
static inline bool segment_is_code(const struct segment *s)
{
    return (s->attributes & SEGMENT_S) && (segment_type(s) & TYPE_CODE);
}

static inline bool segment_is_conforming(const struct segment *s)
{
    return segment_is_code(s) && (segment_type(s) & TYPE_CONFORMING);
}

static inline bool segment_is_writable(const struct segment *s)
{
    return (s->attributes & SEGMENT_S) && !(segment_type(s) & TYPE_CODE) && (segment_type(s) & TYPE_WRITABLE);
}

/* Outside 64-bit mode: raises #GP(0) or #SS(0) unless `size` bytes at `offset` may be accessed. */
void soft_check_segment(struct soft *cpu, const struct uop *u, unsigned seg, uint64_t offset, unsigned size,
                        bool write);
/* The same for a segment that is not loaded yet, with the exception to raise. */
void soft_check_limit(struct soft *cpu, const struct uop *u, const struct segment *s, uint64_t offset, unsigned size,
                      uint8_t vector, uint32_t code);

/* Reads the descriptor of a non-null selector; raises `vector` with the selector beyond its table's limit. In long mode
 * system descriptors are read whole when `wide`. `external` is the EXT bit of error codes. */
struct descriptor soft_read_descriptor(struct soft *cpu, const struct uop *u, uint16_t selector, uint8_t vector,
                                       uint32_t external, bool wide);
struct segment soft_descriptor_segment(const struct descriptor *descriptor);
/* Sets a bit of the type in memory, if it is clear there. */
void soft_mark_descriptor(struct soft *cpu, const struct uop *u, struct descriptor *descriptor, unsigned type_bit);

/* Loads DS, ES, FS, GS or SS, as MOV does; what comes after it in the instruction must not fail. */
void soft_load_segment(struct soft *cpu, const struct uop *u, unsigned seg, uint16_t selector);
/* Checks a data segment, or readable code, whose selector is not null; raises `vector` or #NP. */
struct segment soft_data_segment(struct soft *cpu, const struct uop *u, uint16_t selector, uint8_t vector,
                                 uint32_t external);
/* Checks a stack segment for privilege `cpl`; raises `vector` or #SS. */
struct segment soft_stack_segment(struct soft *cpu, const struct uop *u, uint16_t selector, unsigned cpl,
                                  uint8_t vector, uint32_t external);
/* Real-mode and virtual-8086 loads. */
struct segment soft_real_segment(const struct soft *cpu, const struct segment *old, uint16_t selector);
/* After a return to an outer level: data segments that it may not use become null. */
void soft_null_inner_segments(struct soft *cpu);

/* The stack that the TSS holds for privilege `dpl` (ist 0) or the interrupt stack `ist`, SDM volume 3, 7.2.1 and 7.7.
 */
struct soft_stack {
    struct segment ss;
    uint64_t sp, mask;
    bool user;     /* accesses are the user's */
    uint32_t code; /* the error code of #SS, should it lack room */
};
struct soft_stack soft_tss_stack(struct soft *cpu, const struct uop *u, unsigned dpl, unsigned ist, uint32_t external);
struct soft_stack soft_current_stack(const struct soft *cpu);
/* Raises #SS unless `bytes` more in pushes of `size` have room. */
void soft_stack_room(struct soft *cpu, const struct uop *u, const struct soft_stack *stack, unsigned size,
                     unsigned bytes);
void soft_stack_push(struct soft *cpu, const struct uop *u, struct soft_stack *stack, unsigned size, uint64_t value);
uint64_t soft_stack_pop(struct soft *cpu, const struct uop *u, struct soft_stack *stack, unsigned size);

/* flags, in exec_stack.c */
uint64_t soft_rflags(const struct soft *cpu);
void soft_set_rflags(struct soft *cpu, uint64_t value, uint64_t may_change);

/* interrupt.c */
/* Traps count as external. A breakpoint on an instruction is a fault whose image of RF is as RF was. */
enum event_source { EVENT_FAULT, EVENT_BREAKPOINT, EVENT_EXTERNAL, EVENT_SOFTWARE };
/* Delivers an event at a boundary (u NULL), or for INT n in that instruction. */
void soft_deliver(struct soft *cpu, const struct uop *u, uint8_t vector, enum event_source source, bool has_code,
                  uint32_t code, uint64_t return_rip);
void soft_iret(struct soft *cpu, const struct uop *u);
void soft_far_return(struct soft *cpu, const struct uop *u);

#endif
