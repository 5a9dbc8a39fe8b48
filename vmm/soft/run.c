/*
 * The run loop: from block to block until something outside asks for it, and the one place that the handlers escape to.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "vmm/soft/block.h"
#include "vmm/soft/breaks.h"
#include "vmm/soft/engine_ops.h"
#include "vmm/soft/memory.h"
#include "vmm/soft/observe.h"
#include "vmm/soft/segment.h"

/* More instructions than any run executes. */
#define FOREVER (INT64_C(1) << 62)

void soft_sync(struct soft *cpu, const struct uop *u)
{
    if (!u)
        return;
    const struct block *block = uop_block(u);
    cpu->left += block->count - u->ord;
    cpu->rip = block->rip + u->off;
}

uint64_t soft_ticks_before(const struct soft *cpu, const struct uop *u)
{
    return cpu->limit - (uint64_t)(cpu->left + uop_block(u)->count - u->ord);
}

static _Noreturn void escape(struct soft *cpu, enum escape why)
{
    cpu->patch = NULL;
    cpu->in_exit = false;
    soft_observe_undone(cpu);
    longjmp(cpu->escape, (int)why);
}

void soft_alone(struct soft *cpu, const struct uop *u)
{
    if (!u || uop_is_last(u))
        return;
    soft_sync(cpu, u);
    cpu->alone = true;
    escape(cpu, ESCAPE_ALONE);
}

_Noreturn void soft_shutdown(struct soft *cpu)
{
    escape(cpu, ESCAPE_SHUTDOWN);
}

/* The bytes at RIP, as many as can be had without a fault. */
static void note_code(struct soft *cpu)
{
    struct engine_fault *fault = &cpu->engine.fault;
    uint64_t linear = soft_fetch_linear(cpu, cpu->rip), phys;
    uint32_t code;
    fault->code_length = 0;
    while (fault->code_length < sizeof fault->code) {
        uint64_t at = linear + fault->code_length;
        if (!soft_canonical(at) || !soft_walk(cpu, NULL, at, ACCESS_FETCH, cpu->cpl == 3, false, &phys, &code))
            return;
        const uint8_t *byte = soft_ram(cpu, phys, 1);
        if (!byte)
            return;
        fault->code[fault->code_length++] = *byte;
    }
}

_Noreturn void soft_give_up(struct soft *cpu, const struct uop *u, const char *what)
{
    soft_sync(cpu, u);
    snprintf(cpu->engine.fault.text, sizeof cpu->engine.fault.text, "%s (at 0x%llx)", what,
             (unsigned long long)cpu->rip);
    note_code(cpu);
    escape(cpu, ESCAPE_FAULT);
}

/* SDM volume 3, 6.15, table 6-4: which exceptions are contributory. */
static bool contributory(uint8_t vector)
{
    return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);
}

/* Table 6-5: a second exception while the first was being delivered. */
static void combine(struct soft *cpu, uint8_t vector, bool has_code, uint32_t code)
{
    uint8_t first = cpu->raised;
    if (first == EXC_DF)
        soft_shutdown(cpu);
    /* Both are benign, so the second is handled in its turn, and so on without end: a processor is never heard of again
     * (CVE-2015-5307 is about hypervisors that let a guest do this to them). */
    if (first == EXC_AC && vector == EXC_AC)
        soft_give_up(cpu, NULL, "delivering an alignment check raises another, without end");
    bool doubled = (contributory(first) && contributory(vector)) ||
                   (first == EXC_PF && (vector == EXC_PF || contributory(vector)));
    cpu->event_vector = doubled ? EXC_DF : vector;
    cpu->event_has_code = doubled || has_code;
    cpu->event_code = doubled ? 0 : code;
}

static _Noreturn void raise_event(struct soft *cpu, const struct uop *u, uint8_t vector, bool has_code, uint32_t code)
{
    soft_sync(cpu, u);
    cpu->breaks.found = false; /* what the instruction did, it will do again */
    combine(cpu, vector, has_code, code);
    escape(cpu, ESCAPE_EXCEPTION);
}

_Noreturn void soft_raise(struct soft *cpu, const struct uop *u, uint8_t vector)
{
    raise_event(cpu, u, vector, false, 0);
}

_Noreturn void soft_raise_code(struct soft *cpu, const struct uop *u, uint8_t vector, uint32_t code)
{
    raise_event(cpu, u, vector, true, code);
}

/* Delivers the exception that was raised; a fault while doing so comes back here by way of soft_run. */
static void take_exception(struct soft *cpu)
{
    /* A double fault is an abort, of which the SDM does not tell how RF is saved. Processors set it, as for the fault
     * that came first: the frames in Linux's reports of double faults show it. */
    cpu->raised = cpu->event_vector;
    soft_deliver(cpu, NULL, cpu->event_vector, EVENT_FAULT, cpu->event_has_code, cpu->event_code, cpu->rip);
    cpu->raised = RAISED_NOTHING;
    cpu->shadow = cpu->shadow_ss = false;
    cpu->left--;
}

static void take_interrupt(struct soft *cpu)
{
    cpu->engine.halted = cpu->engine.halted_for_good = false;
    cpu->raised = RAISED_INTERRUPT;
    uint8_t vector = engine_exit_acknowledge(&cpu->engine);
    soft_deliver(cpu, NULL, vector, EVENT_EXTERNAL, false, 0, cpu->rip);
    cpu->raised = RAISED_NOTHING;
}

static void deliver_debug(struct soft *cpu, uint64_t reasons, enum event_source source)
{
    cpu->dr6 |= reasons;
    cpu->raised = EXC_DB;
    soft_deliver(cpu, NULL, EXC_DB, source, false, 0, cpu->rip);
    cpu->raised = RAISED_NOTHING;
    cpu->shadow = cpu->shadow_ss = false;
}

/* A trap belongs to the instruction that caused it: it is no tick of its own. */
static void take_debug_trap(struct soft *cpu)
{
    uint64_t reasons = cpu->pending_db;
    cpu->pending_db = 0;
    cpu->engine.halted = cpu->engine.halted_for_good = cpu->halting = false;
    deliver_debug(cpu, reasons, EVENT_EXTERNAL);
}

static bool interruptible(const struct soft *cpu)
{
    return (cpu->rflags & RFLAGS_IF) && !cpu->shadow;
}

/* The line is looked at where the contract says, and nowhere else. Whatever sets IF, clears the shadow or raises the
 * line has the run loop look at the boundary after it. */
static bool interrupt_due(const struct soft *cpu)
{
    return (cpu->engine.look || cpu->engine.prompt) && cpu->engine.intr && interruptible(cpu);
}

static bool debugging(const struct soft *cpu)
{
    return (cpu->rflags & RFLAGS_TF) || (cpu->dr7 & 0xff);
}

/* Takes the fault of an instruction breakpoint at RIP, if there is one; it is the one fault whose image of RF is as RF
 * was (SDM volume 3, 17.3.1.1). After MOV SS there is none. */
static bool take_instruction_breakpoint(struct soft *cpu)
{
    uint64_t linear = soft_fetch_linear(cpu, cpu->rip);
    unsigned hits = 0;
    if ((cpu->rflags & RFLAGS_RF) || cpu->shadow_ss)
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (((cpu->dr7 >> (2 * i)) & 3) && ((cpu->dr7 >> (16 + 4 * i)) & 3) == 0 && cpu->dr[i] == linear)
            hits |= 1u << i;
    if (!hits)
        return false;
    deliver_debug(cpu, hits, EVENT_BREAKPOINT);
    cpu->left--;
    return true;
}

static void execute(struct soft *cpu, struct block *block)
{
    cpu->left -= block->count;
    block->uops[0].fn(cpu, block->uops);
    if (cpu->observed.pending)
        soft_observe_done(cpu);
}

/* One instruction, or one iteration of a REP, by itself. */
static void execute_single(struct soft *cpu)
{
    bool trap = cpu->rflags & RFLAGS_TF;
    if ((cpu->dr7 & 0xff) && take_instruction_breakpoint(cpu))
        return;
    struct block *block = soft_single_block(cpu);
    if (cpu->breaks.found) /* by the walk for the fetch: told before the instruction */
        return;
    cpu->alone = false;
    cpu->shadow = cpu->shadow_ss = false;
    cpu->rflags &= ~(uint64_t)RFLAGS_RF;
    cpu->bp_hits = 0;
    cpu->delivered = false;
    /* A branch must not go on to the block that it leads to. */
    soft_attend(cpu);
    if (cpu->observed.blocks)
        soft_observe_single(cpu, block->uops);
    execute(cpu, block);
    cpu->patch = NULL;
    /* MOV SS and POP SS hold off single-stepping too: SDM volume 3, 6.8.3. */
    if (trap && !cpu->delivered && !cpu->shadow_ss)
        cpu->pending_db |= DR6_BS;
    cpu->pending_db |= cpu->bp_hits;
    cpu->bp_hits = 0;
    if (cpu->pending_db)
        soft_attend(cpu);
}

/* Runs from block to block until one of them comes back here. */
static void execute_blocks(struct soft *cpu)
{
    struct block **patch = cpu->patch;
    struct block *block = soft_find_block(cpu);
    if (cpu->breaks.found)
        return;
    if (block == soft_scratch(cpu) || block->count > cpu->left) {
        execute_single(cpu);
        return;
    }
    /* soft_find_block cleared cpu->patch if it forgot blocks. */
    if (patch && cpu->patch == patch)
        *patch = block;
    cpu->patch = NULL;
    execute(cpu, block);
}

static bool arrived(struct soft *cpu, const struct position *until, bool *failed, struct error *error)
{
    if (!until || cpu->engine.exits != until->exits)
        return false;
    if (until->kind == AT_EXIT)
        return true;
    if (soft_fetch_linear(cpu, cpu->rip) != until->rip)
        return false;
    if (until->kind == AT_TICK)
        return soft_ticks(cpu) == until->ticks;
    struct cpu_state state;
    struct digest ram;
    soft_get_cpu(&cpu->engine, &state, error);
    if (!digest_equal(cpu_state_digest(&state), until->registers))
        return false;
    if (cpu->engine.host.ram_digest(cpu->engine.host.context, &ram, error) != 0) {
        *failed = true;
        return false;
    }
    return digest_equal(ram, until->ram);
}

/* Whether `until` can no longer be reached, unless by taking the interrupt that is due or waking up. */
static bool missed(const struct soft *cpu, const struct position *until)
{
    if (!until)
        return false;
    if (cpu->engine.exits > until->exits)
        return true;
    if (until->kind != AT_TICK || soft_ticks(cpu) < until->ticks)
        return false;
    bool wakes = interrupt_due(cpu) || cpu->engine.halted;
    return !(soft_ticks(cpu) == until->ticks && cpu->engine.exits < until->exits && wakes);
}

static void set_limit(struct soft *cpu, const struct position *until)
{
    uint64_t ticks = soft_ticks(cpu), stop = cpu->engine.alarm;
    if (cpu->stop_tick < stop)
        stop = cpu->stop_tick;
    if (cpu->stepping && cpu->step_ticks + 1 < stop)
        stop = cpu->step_ticks + 1;
    if (until && until->kind == AT_TICK && until->ticks < stop)
        stop = until->ticks;
    cpu->alarm = cpu->engine.alarm;
    cpu->left = stop <= ticks ? 0 : stop - ticks < FOREVER ? (int64_t)(stop - ticks) : FOREVER;
    cpu->limit = ticks + (uint64_t)cpu->left;
}

static bool stepped(const struct soft *cpu)
{
    return cpu->stepping && (cpu->engine.exits != cpu->step_exits || soft_ticks(cpu) != cpu->step_ticks);
}

/* What a boundary asks for; false when execution goes on. */
static bool at_boundary(struct soft *cpu, const struct position *until, enum engine_stop *stop, struct error *error)
{
    cpu->attention = false;
    cpu->patch = NULL;
    if (cpu->pending_db && !cpu->shadow_ss)
        take_debug_trap(cpu);
    if (cpu->engine.alarm != cpu->alarm)
        set_limit(cpu, until);
    bool failed = false;
    if (arrived(cpu, until, &failed, error)) {
        *stop = ENGINE_STOP_POSITION;
    } else if (failed) {
        *stop = ENGINE_STOP_ERROR;
    } else if (soft_ticks(cpu) >= cpu->stop_tick) {
        *stop = ENGINE_STOP_TICK;
    } else if (stepped(cpu)) {
        *stop = ENGINE_STOP_STEP;
    } else if (soft_breaks_found(cpu)) {
        *stop = ENGINE_STOP_BREAK;
    } else if (soft_ticks(cpu) >= cpu->engine.alarm) {
        *stop = ENGINE_STOP_ALARM;
    } else if (cpu->engine.stop_requested) {
        cpu->engine.stop_requested = false;
        *stop = ENGINE_STOP_REQUESTED;
    } else if (atomic_load_explicit(&cpu->kicked, memory_order_relaxed)) {
        atomic_store(&cpu->kicked, false);
        *stop = ENGINE_STOP_KICK;
    } else if (missed(cpu, until)) {
        *stop = ENGINE_STOP_MISSED;
    } else if (cpu->halting) {
        *stop = ENGINE_STOP_HALT;
    } else if (interrupt_due(cpu)) {
        take_interrupt(cpu);
        return false;
    } else if (cpu->engine.halted) {
        cpu->engine.look = false;
        *stop = ENGINE_STOP_HALT;
    } else if (soft_breaks_here(cpu)) {
        cpu->engine.look = false;
        *stop = ENGINE_STOP_BREAK;
    } else {
        cpu->engine.look = false;
        return false;
    }
    /* Whatever is reported first at the boundary after HLT, the caller sees there that the processor is halted. But to
     * stop for somebody who only looks must make no difference: then HLT is still reported. */
    if (*stop != ENGINE_STOP_TICK && *stop != ENGINE_STOP_STEP && *stop != ENGINE_STOP_BREAK)
        cpu->halting = false;
    return true;
}

/* While a landmark is looked for, blocks that hold its place are gone through instruction by instruction. */
static void execute_towards(struct soft *cpu, uint64_t linear)
{
    struct block *block = soft_find_block(cpu);
    if (cpu->breaks.found)
        return;
    uint64_t ahead = linear - soft_fetch_linear(cpu, block->rip);
    bool inside = block == soft_scratch(cpu) || (ahead < block->bytes && ahead != 0);
    /* No going on from block to block past it. */
    soft_attend(cpu);
    if (inside || block->count > cpu->left || ahead == 0)
        execute_single(cpu);
    else
        execute(cpu, block);
}

static enum engine_stop run_loop(struct soft *cpu, const struct position *until, struct error *error)
{
    enum engine_stop stop;
    soft_attend(cpu);
    for (;;) {
        bool seeking = until && until->kind == AT_LANDMARK;
        if (soft_interrupted(cpu) || cpu->left <= 0 || seeking || cpu->breaks.code) {
            uint64_t exits = cpu->engine.exits;
            if (at_boundary(cpu, until, &stop, error))
                return stop;
            if (cpu->engine.exits != exits)
                continue;
        }
        /* Without breakpoints RF has nothing to do but be cleared by the next instruction. */
        bool debugged = debugging(cpu);
        if (!debugged)
            cpu->rflags &= ~(uint64_t)RFLAGS_RF;
        bool single = debugged || cpu->alone || cpu->shadow || soft_breaks_alone(cpu);
        if (single)
            execute_single(cpu);
        else if (seeking && cpu->engine.exits == until->exits)
            execute_towards(cpu, until->rip);
        else
            execute_blocks(cpu);
    }
}

/* The place to which escapes lead. */
static enum engine_stop run_and_escape(struct soft *cpu, const struct position *until, struct error *error)
{
    switch (setjmp(cpu->escape)) {
    case ESCAPE_SHUTDOWN:
        cpu->raised = RAISED_NOTHING;
        return ENGINE_STOP_SHUTDOWN;
    case ESCAPE_FAULT:
        return ENGINE_STOP_FAULT;
    case ESCAPE_EXCEPTION:
        take_exception(cpu);
        break;
    default:
        break;
    }
    return run_loop(cpu, until, error);
}

enum engine_stop soft_run(struct engine *engine, const struct engine_stops *stops, struct error *error)
{
    struct soft *cpu = (struct soft *)engine;
    const struct position *until = stops->position;
    cpu->stop_tick = stops->to_tick ? stops->tick : UINT64_MAX;
    cpu->stepping = stops->step;
    cpu->step_exits = engine->exits;
    cpu->step_ticks = soft_ticks(cpu);
    soft_breaks_begin(cpu, stops);
    set_limit(cpu, until);
    cpu->raised = RAISED_NOTHING;
    enum engine_stop stop = run_and_escape(cpu, until, error);
    soft_x87_settle(cpu);
    engine->interruptible = interruptible(cpu);
    return stop;
}

bool soft_name_position(struct engine *engine, struct position *position, struct error *error)
{
    const struct soft *cpu = (const struct soft *)engine;
    uint64_t ticks = soft_ticks(cpu);
    error->kind = ERROR_NONE;
    if (engine->halted || (engine->exits == cpu->exit_number && ticks == cpu->exit_ticks)) {
        *position = position_at_exit(engine->exits);
        return true;
    }
    *position = (struct position){
        .kind = AT_TICK, .exits = engine->exits, .ticks = ticks, .rip = soft_fetch_linear(cpu, cpu->rip)};
    return true;
}
