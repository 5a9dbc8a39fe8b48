/* See observe.h. */
#include "vmm/soft/observe.h"

#include "vmm/soft/memory.h"

void soft_observe(struct engine *engine, const struct engine_observer *observer)
{
    struct soft *cpu = (struct soft *)engine;

    cpu->observed = (struct soft_observed){.to = *observer};
    cpu->observed.blocks = observer->instruction || observer->branch || observer->memory;
    soft_flush_tlb(cpu);
    soft_update_mode(cpu);
}

static void tell_accesses(struct soft_observed *observed)
{
    for (unsigned i = 0; i < observed->access_count; i++)
        observed->to.memory(observed->to.context, &observed->accesses[i]);
    observed->access_count = 0;
}

static void tell(struct soft *cpu, uint64_t now, uint64_t ticks)
{
    struct soft_observed *observed = &cpu->observed;
    bool goes_on = now == observed->next || (observed->repeats && now == observed->rip);

    tell_accesses(observed);
    if (!observed->pending)
        return;
    observed->pending = false;
    if (observed->to.instruction)
        observed->to.instruction(observed->to.context, observed->rip, observed->tick, ticks - observed->tick);
    if (observed->to.branch && !goes_on && !observed->delivered)
        observed->to.branch(observed->to.context, observed->rip, now);
}

static void begin(struct soft *cpu, uint64_t linear, uint64_t tick, unsigned length, bool repeats)
{
    struct soft_observed *observed = &cpu->observed;

    /* Compiled code wants the host's x87 for itself. */
    soft_x87_settle(cpu);
    tell(cpu, linear, tick);
    observed->pending = true;
    observed->delivered = false;
    observed->repeats = repeats;
    observed->rip = linear;
    observed->next = (linear + length) & cpu->linear_mask;
    observed->tick = tick;
}

void soft_observe_done(struct soft *cpu)
{
    soft_x87_settle(cpu);
    tell(cpu, soft_fetch_linear(cpu, cpu->rip), soft_ticks(cpu));
}

void soft_observe_undone(struct soft *cpu)
{
    cpu->observed.access_count = 0;
    /* Of a REP string instruction, some iterations may be done. */
    if (cpu->observed.pending && soft_ticks(cpu) != cpu->observed.tick)
        soft_observe_done(cpu);
    cpu->observed.pending = false;
}

void soft_observe_single(struct soft *cpu, const struct uop *u)
{
    begin(cpu, soft_fetch_linear(cpu, cpu->rip), soft_ticks(cpu), uop_block(u)->bytes, u->flags & (UF_REP | UF_REPNE));
}

static __attribute__((noinline)) void begin_in_block(struct soft *cpu, const struct uop *u)
{
    begin(cpu, soft_fetch_linear(cpu, uop_block(u)->rip + u->off), soft_ticks_before(cpu, u), (unsigned)u->imm,
          u->flags & (UF_REP | UF_REPNE));
}

UOP(uop_observe)
{
    begin_in_block(cpu, u);
    NEXT();
}

void soft_observe_access(struct soft *cpu, const struct uop *u, uint64_t linear, uint64_t phys, unsigned length,
                         bool write)
{
    struct soft_observed *observed = &cpu->observed;

    const struct engine_access access = {.linear = linear, .physical = phys, .length = length, .write = write};

    if (!observed->to.memory)
        return;
    /* Bits that a walk has set stay set, whatever becomes of the instruction. */
    if (linear == ENGINE_NO_LINEAR) {
        soft_x87_settle(cpu);
        observed->to.memory(observed->to.context, &access);
        return;
    }
    /* Only a task switch makes so many accesses; a fault in it comes late. */
    if (observed->access_count == OBSERVED_ACCESSES)
        tell_accesses(observed);
    observed->accesses[observed->access_count++] = access;
    /* One iteration at a time. */
    if (u && (u->flags & (UF_REP | UF_REPNE)))
        soft_attend(cpu);
}

void soft_observe_event(struct soft *cpu, const struct engine_event *event)
{
    struct soft_observed *observed = &cpu->observed;

    observed->delivered = true;
    if (observed->to.event) {
        soft_x87_settle(cpu);
        tell_accesses(observed);
        observed->to.event(observed->to.context, event);
    }
}
