/*
 * The contract of a CPU engine: what executes guest instructions.
 *
 * An engine runs one processor over one block of RAM. It calls its host (the machine) for everything that leaves the
 * processor: port and memory-mapped accesses and interrupt acknowledge cycles. It never decides policy, never reads a
 * clock on the guest's behalf and never sees a log.
 *
 * Order of calls: create (an engine's own header) -> engine_map_ram once -> engine_set_cpu once -> any of the others ->
 * engine_destroy. All calls are made from the thread that created the engine, but for engine_kick, which any thread or
 * signal handler may make.
 *
 * Boundaries. engine_run returns at instruction boundaries only, with every access that the last instruction made
 * completed; that is where state may be read or changed. An interrupt that was acknowledged has been delivered before
 * a position is named after it. Inside a host call the processor is in mid-instruction, and only
 * engine_request_stop may be called, and engine_get_ticks with caps.tick_time.
 *
 * Interrupts. The machine raises and lowers one line. Where the engine looks at it, it takes the interrupt if the
 * architecture lets it (SDM vol. 3, 6.8.1 and 6.8.3: IF set, no STI or MOV SS shadow), and asks the host for the
 * vector. Where it looks is one of two rules, both of which are the same in every replay, so that taking an interrupt
 * needs no record:
 *   prompt    at every boundary, as hardware does (engine->prompt, for engines with caps.tick_time). The line's level
 *             is a function of the log.
 *   at exits  at the boundary after each exit and at each boundary where the machine set the line (engine_set_intr,
 *             raised or not), and nowhere else. KVM's way of telling when interrupts open (request_interrupt_window)
 *             was measured not to be exact: on a KVM that emulates kernel code, the window that STI or IRET opens is
 *             noticed only at KVM's next entry, whenever that is (`encore doctor` shows it). A line that stays raised
 *             and is not taken is therefore the machine's to bring up again, at a place that it can name.
 *
 * Exits. Each access, acknowledge cycle and request for random bytes is one exit, and so is each HLT; engine->exits
 * counts them. See base/position.h.
 *
 * Time. An engine with caps.tick_time has a time stamp counter that counts guest time, of which the host tells it. One
 * without has whatever the processor underneath has, and the machine cannot know what the guest reads there.
 */
#ifndef ENCORE_VMM_ENGINE_H
#define ENCORE_VMM_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/position.h"
#include "vmm/cpu_state.h"
#include "vmm/ram.h"

/* Where an access goes: a port, a guest-physical address outside RAM, or a model specific register that belongs to the
 * local APIC and not to the processor proper (lapic.h). */
enum engine_space { ENGINE_PORT, ENGINE_MEMORY, ENGINE_MSR };

/* Whom the engine calls, in mid-instruction. */
struct engine_host {
    void *context;
    uint64_t (*read)(void *context, enum engine_space space, uint64_t address, unsigned size);
    void (*write)(void *context, enum engine_space space, uint64_t address, unsigned size, uint64_t value);
    /* An interrupt acknowledge cycle: returns the vector. Called only while the line is raised. */
    uint8_t (*acknowledge)(void *context);
    /* RDRAND or RDSEED: fills in `length` random bytes, 2 to 8. NULL: the instructions report that there are none. */
    void (*entropy)(void *context, uint8_t *bytes, size_t length);
    /* The guest reads its time stamp counter, with `ticks` done before: guest time in nanoseconds, never going back.
     * No exit. NULL: the counter counts ticks. Called only by an engine with caps.tick_time. */
    uint64_t (*read_time)(void *context, uint64_t ticks);
    /* The digest of all guest memory now; used to name and to find landmarks. Called at boundaries only. */
    int (*ram_digest)(void *context, struct digest *digest, struct error *error);
};

/* A place or an access at which a run stops. */
enum engine_break_kind { ENGINE_BREAK_EXECUTE, ENGINE_BREAK_READ, ENGINE_BREAK_WRITE, ENGINE_BREAK_ACCESS };

struct engine_break {
    enum engine_break_kind kind;
    bool physical;    /* the address is guest-physical, not linear */
    uint64_t address; /* EXECUTE: of an instruction's first byte. Others: accesses to [address, address + length) */
    uint64_t length;  /* at least 1; unused for EXECUTE */
};

#define ENGINE_BREAKS_MAX 64

/*
 * Where a run is to stop, besides where it must. All of it may be left zero. An engine says in its caps which of these
 * it can do; to ask for another is a broken invariant.
 *
 * A boundary is looked at in this order: position, tick, step, breaks. Already being at the position or the tick is an
 * arrival. An EXECUTE break ends the run before the instruction there, when no interrupt comes first; an access, at the
 * boundary after the instruction that made it (in a REP string instruction, after the iteration). Where several stops
 * fall together, the breaks are told by the next run, at once; one that ended a run does not end the next one at the
 * same boundary. A REP string instruction is come to again before each iteration; of several EXECUTE breaks at one
 * place the first is told. The processor's own accesses (descriptors, frames, page tables by their physical address)
 * count.
 */
struct engine_stops {
    const struct position *position; /* NULL: none */
    bool to_tick;
    uint64_t tick; /* with to_tick: the first boundary at which the tick counter is there */
    bool step;     /* the next boundary: one tick, or one exit, further on */
    const struct engine_break *breaks;
    size_t break_count;
};

/* What ended a run with ENGINE_STOP_BREAK. */
struct engine_hit {
    size_t index; /* of the break */
    bool write;   /* the access; of several of one instruction, the first */
    uint64_t linear, physical;
    unsigned length;
};

/* An access to memory, as an observer is told of it: within one page. */
struct engine_access {
    uint64_t linear; /* ENGINE_NO_LINEAR: the processor set bits in a page table */
    uint64_t physical;
    unsigned length;
    bool write;
};

#define ENGINE_NO_LINEAR UINT64_MAX

/* The delivery of an exception or interrupt. */
struct engine_event {
    enum { ENGINE_EVENT_FAULT, ENGINE_EVENT_EXTERNAL, ENGINE_EVENT_SOFTWARE } source; /* EXTERNAL: and debug traps */
    uint8_t vector;
    bool has_code;
    uint32_t code;
    uint64_t from, to; /* linear: of the instruction that is returned to, and of the handler */
};

/*
 * Who watches the guest being executed. An observer changes nothing: no state, tick, exit or stop. It is called in
 * mid-run, and may not call the engine. Any function may be NULL; what nobody watches costs nothing.
 *
 * Everything is told in the order in which it happened, and once; of an instruction, first the bits that its walks set
 * in page tables, then its accesses, then an event that it delivers itself, then that it is done. What a faulting
 * instruction accessed before its fault is not told, for it will do it again. All addresses of instructions are linear.
 */
struct engine_observer {
    void *context;
    /* An instruction at `rip` is done, and took `count` ticks from `tick` on: 1, or as many iterations of a REP string
     * instruction as were made at once. */
    void (*instruction)(void *context, uint64_t rip, uint64_t tick, uint64_t count);
    /* It went on elsewhere than behind itself, other than by an event. */
    void (*branch)(void *context, uint64_t from, uint64_t to);
    void (*memory)(void *context, const struct engine_access *access);
    void (*event)(void *context, const struct engine_event *event);
};

enum engine_stop {
    ENGINE_STOP_POSITION,  /* at stops->position */
    ENGINE_STOP_TICK,      /* at stops->tick, or beyond it from the start */
    ENGINE_STOP_STEP,      /* one boundary further on */
    ENGINE_STOP_BREAK,     /* engine->hit says which */
    ENGINE_STOP_ALARM,     /* the tick counter has come to engine->alarm */
    ENGINE_STOP_KICK,      /* engine_kick was called; perhaps a little later than at once */
    ENGINE_STOP_REQUESTED, /* engine_request_stop was called; the instruction that caused it is complete */
    ENGINE_STOP_HALT,      /* the guest executed HLT, or is still halted and has no interrupt that it can take */
    ENGINE_STOP_SHUTDOWN,  /* triple fault */
    ENGINE_STOP_FAULT,     /* the engine cannot go on with this guest: engine->fault says why */
    ENGINE_STOP_MISSED,    /* stops->position can no longer be reached: the guest made an exit before it, or went
                            * another way */
    ENGINE_STOP_OVERSHOT,  /* the engine itself let the guest run past it, or may have; see caps.careful */
    ENGINE_STOP_ERROR,     /* the host failed: the error says how */
};

/* Why an engine could not go on: words for the user, and the bytes at RIP where the engine knows them. */
struct engine_fault {
    char text[256];
    uint8_t code[16];
    unsigned code_length;
};

/* What an engine can do on this host; fixed once it has been created. */
struct engine_caps {
    bool ticks;            /* it can name, and land on, AT_TICK */
    bool landmarks;        /* it can name, and land on, AT_LANDMARK */
    bool careful;          /* it never overshoots, at the price of speed */
    bool tick_time;        /* its ticks are exact enough to tell the time by: see above. They can also be had within a
                            * host call: those done before the instruction that makes it */
    bool observers;        /* it tells an observer: struct engine_observer */
    bool stops;            /* it stops at a tick, after one instruction, and at breaks: struct engine_stops */
    const char *tick_unit; /* what its tick counts, as the log records it; "none" without ticks */
};

struct engine;

struct engine_ops {
    const char *name;
    int (*map_ram)(struct engine *engine, struct ram *ram, struct error *error);
    enum engine_stop (*run)(struct engine *engine, const struct engine_stops *stops, struct error *error);
    bool (*name_position)(struct engine *engine, struct position *position, struct error *error);
    int (*get_cpu)(struct engine *engine, struct cpu_state *cpu, struct error *error);
    int (*set_cpu)(struct engine *engine, const struct cpu_state *cpu, uint64_t ticks, struct error *error);
    int (*collect_dirty)(struct engine *engine, struct error *error);
    int (*get_ticks)(struct engine *engine, uint64_t *ticks, struct error *error);
    /* NULL without caps.observers. */
    void (*observe)(struct engine *engine, const struct engine_observer *observer);
    /* NULL for an engine that keeps nothing that depends on what is in memory. */
    void (*ram_written)(struct engine *engine, uint64_t address, uint64_t length);
    void (*kick)(struct engine *engine);
    void (*destroy)(struct engine *engine);
};

struct engine {
    const struct engine_ops *ops;
    struct ram *ram; /* the guest's; NULL before engine_map_ram */
    struct engine_host host;
    struct engine_caps caps;
    struct engine_fault fault;
    struct engine_hit hit; /* after ENGINE_STOP_BREAK */
    uint64_t exits;        /* done so far; the machine sets it when it restores a checkpoint */
    uint64_t alarm;      /* the machine's, with caps.tick_time: engine_run stops at the first boundary at which the tick
                          * counter is there; UINT64_MAX: nowhere. May be set within host calls too */
    bool prompt;         /* the machine's, with caps.tick_time: which of the two rules above holds */
    bool intr;           /* the level of the interrupt line */
    bool look;           /* the line is to be looked at, at this boundary */
    bool stop_requested; /* by a host call */
    bool halted;         /* the processor is in HLT */
    bool halted_for_good; /* and interrupts are off, so that nothing we model will wake it */
    bool interruptible;   /* at this boundary, an interrupt could be taken */
};

/* Gives the guest its RAM at guest-physical 0; the engine keeps the pointer. */
static inline int engine_map_ram(struct engine *engine, struct ram *ram, struct error *error)
{
    engine->ram = ram;
    return engine->ops->map_ram(engine, ram, error);
}

/* Runs until one of the stops (NULL: nowhere in particular), a kick, a halt or an end. */
static inline enum engine_stop engine_run(struct engine *engine, const struct engine_stops *stops, struct error *error)
{
    static const struct engine_stops none;

    return engine->ops->run(engine, stops ? stops : &none, error);
}

/* To a position. */
static inline enum engine_stop engine_run_to(struct engine *engine, const struct position *position,
                                             struct error *error)
{
    return engine_run(engine, &(const struct engine_stops){.position = position}, error);
}

/* From the next run on, the observer is told (NULL: nobody is). It is copied. For an engine with caps.observers. */
static inline void engine_observe(struct engine *engine, const struct engine_observer *observer)
{
    static const struct engine_observer nobody;

    engine->ops->observe(engine, observer ? observer : &nobody);
}

/* Names the boundary where the engine stands. Returns false when this host cannot (with error->kind ERROR_NONE), or
 * when it failed (error->kind ERROR_HOST). */
static inline bool engine_name_position(struct engine *engine, struct position *position, struct error *error)
{
    return engine->ops->name_position(engine, position, error);
}

static inline int engine_get_cpu(struct engine *engine, struct cpu_state *cpu, struct error *error)
{
    return engine->ops->get_cpu(engine, cpu, error);
}

/* Sets the whole processor, and the tick counter to `ticks`. */
static inline int engine_set_cpu(struct engine *engine, const struct cpu_state *cpu, uint64_t ticks,
                                 struct error *error)
{
    return engine->ops->set_cpu(engine, cpu, ticks, error);
}

/* What the guest's page tables say of a linear address. */
struct engine_translation {
    uint64_t physical;
    uint64_t page_size;           /* how much is mapped alike around it; 4 GiB without paging */
    bool write, user, no_execute; /* the rights of the entries together */
};

/* Translates a linear address without side effects: no accessed bit is set, no fault raised. 1: it is mapped; 0: it is
 * not; -1: the host failed. */
int engine_translate(struct engine *engine, uint64_t linear, struct engine_translation *translation,
                     struct error *error);

/* Marks in ram->dirty every page that the guest wrote since the last call. */
static inline int engine_collect_dirty(struct engine *engine, struct error *error)
{
    return engine->ops->collect_dirty(engine, error);
}

/* The tick counter, for an engine with caps.ticks. With caps.tick_time it cannot fail. */
static inline int engine_get_ticks(struct engine *engine, uint64_t *ticks, struct error *error)
{
    return engine->ops->get_ticks(engine, ticks, error);
}

/* Guest memory [address, address + length) was written by somebody else than the processor; all of it is memory. May be
 * called from a host call too. */
static inline void engine_ram_written(struct engine *engine, uint64_t address, uint64_t length)
{
    if (engine->ops->ram_written)
        engine->ops->ram_written(engine, address, length);
}

/* Raises or lowers the interrupt line, and has it looked at at this boundary. */
static inline void engine_set_intr(struct engine *engine, bool level)
{
    engine->intr = level;
    engine->look = true;
}

/* From a host call: stop at the boundary after this instruction. */
static inline void engine_request_stop(struct engine *engine)
{
    engine->stop_requested = true;
}

/* Stops engine_run soon. Async-signal-safe, from any thread. */
static inline void engine_kick(struct engine *engine)
{
    engine->ops->kick(engine);
}

static inline void engine_destroy(struct engine *engine)
{
    if (engine)
        engine->ops->destroy(engine);
}

/* For engines: the host calls, counted. */
static inline uint64_t engine_exit_read(struct engine *engine, enum engine_space space, uint64_t address, unsigned size)
{
    engine->exits++;
    engine->look = true;
    return engine->host.read(engine->host.context, space, address, size);
}

static inline void engine_exit_write(struct engine *engine, enum engine_space space, uint64_t address, unsigned size,
                                     uint64_t value)
{
    engine->exits++;
    engine->look = true;
    engine->host.write(engine->host.context, space, address, size, value);
}

static inline uint8_t engine_exit_acknowledge(struct engine *engine)
{
    engine->exits++;
    engine->look = true;
    return engine->host.acknowledge(engine->host.context);
}

static inline void engine_exit_entropy(struct engine *engine, uint8_t *bytes, size_t length)
{
    engine->exits++;
    engine->look = true;
    engine->host.entropy(engine->host.context, bytes, length);
}

#endif
