/*
 * An interrupt forced at every instruction of a window of 10,000 of each guest gives a consistent machine each time.
 *
 * A guest is brought to its window on the soft engine, with no clock but its own deadlines, and the whole machine is
 * kept. Then for every tick of the window: back to the start, on to the tick, and guest time is set to the timer's
 * deadline, as a TIME record does. (Where no timer runs, the processor's line is raised alone: these guests have
 * interrupts off.) What must hold:
 *
 *   taken      the interrupt is acknowledged at that very boundary if IF is set and no STI or MOV SS shadows it, and
 * not there otherwise; the tick count does not move; the frame on the stack holds the RIP, CS, RFLAGS, RSP and SS of
 * the boundary restored   where the handler returns to whom it interrupted: then every register is as it was repeated
 * a second time, single-stepped around the interrupt, the end of the window has the same digest finished   (every 500th
 * tick) the guest comes to its normal end, with the output of an undisturbed run
 *
 * Seen to fail: with an engine that ignores the shadow (interruptible() in run.c without it), that delivers with RIP +
 * 1, or that counts an acknowledge as a tick, at "taken"; with an IRET that does not bring CF back, at "restored".
 *
 *     forced [--every N] [GUEST]      default: 1; under sanitizers 17
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "vmm/machine.h"
#include "vmm/soft/soft_engine.h"

#define WINDOW   10000
#define AFTER    2000 /* for the last handler */
#define RAM_SIZE (24u << 20)
#define STEPS    64
#define FINISH   500

struct guest {
    const char *name, *cmdline, *input;
    uint64_t start; /* tick */
    bool preserves; /* its handler returns to whom it interrupted */
    bool fixed;     /* its output does not depend on when interrupts come */
    bool open;      /* it has interrupts on in its window, and off too; the others have them off throughout */
};

static const struct guest guests[] = {
    {"kv", "", "SET a 1\nINCR a\nINCR a\nGET a\nDUMP\nDEL a\nGET a\nQUIT\n", 3000, true, true, true},
    {"tasks", "iterations=400", "", 12000, false, false, true},
    {"user", "rounds=1 tasks=1", "", 6000, false, true, true},
    {"sieve", "n=20000", "", 20000, true, true, false},
    {"faulty", "port", "", 0, true, true, false},
    {"storm", "ticks=3000", "over the lazy dog\n", 3000, true, true, true},
    {"mbhello", "", "", 0, true, true, false},
    {"bootsec", "", "", 0, true, true, false},
};

struct specimen {
    const struct guest *guest;
    struct engine *engine;
    struct machine machine;
    uint8_t (*acknowledge)(void *context); /* the machine's */
    uint64_t acknowledged_at;              /* the tick of the last one */
    size_t sent;                           /* bytes of the guest's input */
    char output[4096];
    size_t output_length;
};

/* A whole machine; RAM is shared with those pages that have not changed since. */
struct snapshot {
    struct specimen specimen;
    struct cpu_state cpu;
    struct engine engine;
    uint64_t ticks;
    uint8_t *ram;
};

/* What was found in a window. */
struct tally {
    unsigned taken, shadowed, masked, restored, finished;
};

static uint64_t door_clock(void *context, uint64_t now)
{
    (void)context;
    return now;
}

static void door_entropy(void *context, uint8_t *bytes, size_t length)
{
    (void)context;
    memset(bytes, 0x5a, length);
}

static void door_output(void *context, uint8_t channel, uint8_t byte)
{
    struct specimen *s = context;
    (void)channel;
    if (s->output_length < sizeof s->output - 1)
        s->output[s->output_length++] = (char)byte;
}

static bool door_exit(void *context)
{
    (void)context;
    return false;
}

static uint8_t acknowledge(void *context)
{
    struct machine *machine = context;
    struct specimen *s = machine->door.context;
    s->acknowledged_at = soft_engine_ticks(s->engine);
    return s->acknowledge(context);
}

static bool create(struct specimen *s, const struct guest *guest, const char *directory)
{
    const struct door door = {.context = s,
                              .read_clock = door_clock,
                              .entropy = door_entropy,
                              .console_output = door_output,
                              .exit_served = door_exit};
    const struct machine_config config = {.ram_size = RAM_SIZE, .boot.cmdline = guest->cmdline};
    static uint8_t image[1 << 20];
    const struct engine_host none = {0};
    struct error error = {0};
    char path[512];

    snprintf(path, sizeof path, "%s/%s", directory, guest->name);
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    size_t length = fread(image, 1, sizeof image, file);
    fclose(file);
    *s = (struct specimen){.guest = guest, .engine = soft_engine_create(&none, &error), .acknowledged_at = UINT64_MAX};
    CHECK(s->engine && machine_create(&s->machine, &config, s->engine, &door, &error) == 0);
    s->acknowledge = s->engine->host.acknowledge;
    s->engine->host.acknowledge = acknowledge;
    return machine_boot(&s->machine, &config, image, length, guest->name, NULL, &error) == 0;
}

/* The guest waits: it gets what it may be waiting for. */
static void supply(struct specimen *s)
{
    size_t left = strlen(s->guest->input) - s->sent, room = machine_console_room(&s->machine);
    size_t length = left < room ? left : room;
    if (length > 0) {
        machine_console_input(&s->machine, (const uint8_t *)s->guest->input + s->sent, length);
        s->sent += length;
    } else if (machine_deadline(&s->machine) != NO_DEADLINE) {
        machine_set_time(&s->machine, machine_deadline(&s->machine));
    } else {
        machine_look_at_interrupts(&s->machine);
    }
}

/* By what is there already, or else by something new. */
static void wake(struct specimen *s)
{
    if (s->engine->intr)
        engine_set_intr(s->engine, true);
    else
        supply(s);
}

/* To tick `ticks`, or the guest's end; or until it waits for what never comes. */
static void go_to(struct specimen *s, uint64_t ticks)
{
    struct error error;
    unsigned waits = 0;
    for (uint64_t at = soft_engine_ticks(s->engine); s->machine.end == MACHINE_RUNS && waits < 1000; waits++) {
        enum engine_stop stop = machine_run_to_tick(&s->machine, ticks, &error);
        if (stop == ENGINE_STOP_TICK)
            return;
        if (stop == ENGINE_STOP_HALT && s->machine.end == MACHINE_RUNS)
            wake(s);
        if (soft_engine_ticks(s->engine) != at)
            waits = 0;
        at = soft_engine_ticks(s->engine);
    }
}

static struct snapshot take_snapshot(struct specimen *s)
{
    struct snapshot snapshot = {.specimen = *s, .engine = *s->engine, .ticks = soft_engine_ticks(s->engine)};
    struct error error;
    CHECK(engine_get_cpu(s->engine, &snapshot.cpu, &error) == 0);
    CHECK(machine_ram_digest(&s->machine, &(struct digest){0}, &error) == 0);
    snapshot.ram = malloc(RAM_SIZE);
    CHECK(snapshot.ram);
    memcpy(snapshot.ram, s->machine.ram.bytes, RAM_SIZE);
    page_digests_forget_changes(&s->machine.digests, &s->machine.ram);
    return snapshot;
}

static void put_pages_back(struct specimen *s, const struct snapshot *snapshot)
{
    struct ram *ram = &s->machine.ram;
    for (uint64_t page = 0; page < RAM_SIZE >> RAM_PAGE_SHIFT; page++) {
        if (s->machine.digests.changed[page / 64] == 0) {
            page |= 63;
            continue;
        }
        if (s->machine.digests.changed[page / 64] >> page % 64 & 1)
            CHECK(ram_write(ram, page << RAM_PAGE_SHIFT, snapshot->ram + (page << RAM_PAGE_SHIFT), RAM_PAGE_SIZE));
    }
    page_digests_update(&s->machine.digests, ram);
    page_digests_forget_changes(&s->machine.digests, ram);
}

static void restore(struct specimen *s, const struct snapshot *snapshot)
{
    struct error error;
    struct digest digest;
    CHECK(machine_ram_digest(&s->machine, &digest, &error) == 0);
    put_pages_back(s, snapshot);
    struct ram ram = s->machine.ram;
    struct page_digests digests = s->machine.digests;
    *s = snapshot->specimen;
    s->machine.ram = ram;
    s->machine.digests = digests;
    s->engine->exits = snapshot->engine.exits;
    s->engine->intr = snapshot->engine.intr;
    s->engine->look = snapshot->engine.look;
    CHECK(engine_set_cpu(s->engine, &snapshot->cpu, snapshot->ticks, &error) == 0);
}

static struct digest digest_now(struct specimen *s)
{
    struct digest digest;
    struct error error;
    CHECK(machine_digest(&s->machine, &digest, &error) == 0);
    return digest;
}

static struct cpu_state cpu_now(struct specimen *s)
{
    struct cpu_state cpu;
    struct error error;
    CHECK(engine_get_cpu(s->engine, &cpu, &error) == 0);
    return cpu;
}

/* Returns whether the processor's line is up. */
static bool force(struct specimen *s)
{
    uint64_t deadline = machine_deadline(&s->machine);
    if (deadline != NO_DEADLINE)
        machine_set_time(&s->machine, deadline);
    else
        engine_set_intr(s->engine, true);
    return s->engine->intr;
}

static bool failed(const struct specimen *s, uint64_t tick, const char *what)
{
    printf("not ok - forced: %s: at tick %lu: %s\n", s->guest->name, (unsigned long)tick, what);
    return false;
}

/* The frame that delivery in long mode pushed (SDM volume 3, 6.14.2); kernel stacks are mapped to themselves. */
static bool frame_holds(const struct specimen *s, const struct cpu_state *now, const struct cpu_state *before)
{
    uint64_t frame[5];
    return ram_read(&s->machine.ram, now->gprs[GPR_RSP], frame, sizeof frame) && frame[0] == before->rip &&
           frame[1] == before->cs.selector && frame[2] == before->rflags && frame[3] == before->gprs[GPR_RSP] &&
           frame[4] == before->ss.selector;
}

/* Steps until the interrupted code goes on. */
static bool context_returns(struct specimen *s, const struct cpu_state *before)
{
    struct cpu_state now = cpu_now(s);
    uint64_t tick = soft_engine_ticks(s->engine);
    for (unsigned i = 0; i < AFTER && (now.rip != before->rip || now.gprs[GPR_RSP] != before->gprs[GPR_RSP]); i++) {
        go_to(s, ++tick);
        now = cpu_now(s);
    }
    /* HLT is over, and STI's shadow; all else is as it was. */
    now.halted = before->halted;
    return digest_equal(cpu_state_digest(&now), cpu_state_digest(before));
}

/* At the tick where the guest stands. */
static bool check_taking(struct specimen *s, struct tally *tally)
{
    struct cpu_state before = cpu_now(s);
    uint64_t tick = soft_engine_ticks(s->engine);
    s->acknowledged_at = UINT64_MAX;
    bool up = force(s);
    bool due = up && (before.rflags & RFLAGS_IF) && !before.interrupt_shadow;
    const struct position taken = position_at_exit(s->engine->exits + 1);
    struct error error;
    tally->shadowed += up && (before.rflags & RFLAGS_IF) && before.interrupt_shadow;
    tally->masked += up && !(before.rflags & RFLAGS_IF);
    if (!due) {
        go_to(s, tick + 1);
        return s->acknowledged_at != tick || failed(s, tick, "an interrupt was taken where it cannot be");
    }
    tally->taken++;
    enum engine_stop stop = machine_run_to(&s->machine, &taken, &error);
    if (stop == ENGINE_STOP_HALT) /* which is told first */
        stop = machine_run_to(&s->machine, &taken, &error);
    if (stop != ENGINE_STOP_POSITION || s->acknowledged_at != tick)
        return failed(s, tick, "an interrupt that is due was not taken");
    struct cpu_state now = cpu_now(s);
    if (soft_engine_ticks(s->engine) != tick)
        return failed(s, tick, "taking an interrupt is no tick");
    if (now.rflags & RFLAGS_IF || !frame_holds(s, &now, &before))
        return failed(s, tick, "the frame does not hold what was interrupted");
    if (s->guest->preserves) {
        tally->restored++;
        if (!context_returns(s, &before))
            return failed(s, tick, "the interrupted registers did not come back");
    }
    return true;
}

static void finish(struct specimen *s)
{
    go_to(s, soft_engine_ticks(s->engine) + 200000000);
    s->output[s->output_length] = 0;
}

static bool check_end(struct specimen *s, const struct specimen *undisturbed, uint64_t tick)
{
    finish(s);
    bool same = s->machine.end == undisturbed->machine.end &&
                s->machine.exit_value == undisturbed->machine.exit_value &&
                (!s->guest->fixed || strcmp(s->output, undisturbed->output) == 0);
    return same || failed(s, tick, "the guest ends otherwise");
}

static bool check_tick(struct specimen *s, const struct snapshot *start, const struct specimen *undisturbed,
                       uint64_t tick, struct tally *tally)
{
    uint64_t last = start->ticks + WINDOW + AFTER;
    restore(s, start);
    go_to(s, tick);
    if (s->machine.end != MACHINE_RUNS)
        return true;
    if (!check_taking(s, tally))
        return false;
    go_to(s, last);
    struct digest first = digest_now(s);
    if (tick % FINISH == 0) {
        tally->finished++;
        if (!check_end(s, undisturbed, tick))
            return false;
    }
    restore(s, start);
    go_to(s, tick > start->ticks + 2 ? tick - 2 : tick);
    for (uint64_t t = soft_engine_ticks(s->engine) + 1; t <= tick; t++)
        go_to(s, t);
    force(s);
    for (uint64_t t = tick + 1; t < tick + STEPS; t++)
        go_to(s, t);
    go_to(s, last);
    return digest_equal(first, digest_now(s)) || failed(s, tick, "single-stepped, it is another machine");
}

/* A window in which nothing was put to the test shows nothing. */
static bool check_tally(const struct guest *guest, const struct tally *tally, unsigned every)
{
    unsigned least = guest->open ? 50 / every : 0;
    bool shown =
        tally->masked > 0 && tally->taken >= least && (!guest->open || !guest->preserves || tally->restored > 0);

    if (!shown)
        printf("not ok - forced: %s: too little was tried: %u taken, %u masked, %u contexts came back\n", guest->name,
               tally->taken, tally->masked, tally->restored);
    return shown;
}

static bool check_guest(const struct guest *guest, const char *directory, unsigned every)
{
    static struct specimen s, undisturbed;
    struct tally tally = {0};
    uint64_t tick;
    bool good = true;
    if (!create(&undisturbed, guest, directory) || !create(&s, guest, directory)) {
        printf("not ok - forced: %s: it cannot be loaded\n", guest->name);
        return false;
    }
    finish(&undisturbed);
    go_to(&s, guest->start);
    CHECK(s.machine.end == MACHINE_RUNS);
    struct snapshot start = take_snapshot(&s);
    for (tick = start.ticks; good && tick < start.ticks + WINDOW; tick += every)
        good = check_tick(&s, &start, &undisturbed, tick, &tally);
    good = good && check_tally(guest, &tally, every);
    if (good)
        printf("ok - forced: %s: %u taken, %u in a shadow, %u masked, %u contexts came back, %u runs to the end\n",
               guest->name, tally.taken, tally.shadowed, tally.masked, tally.restored, tally.finished);
    free(start.ram);
    engine_destroy(s.engine);
    machine_destroy(&s.machine);
    engine_destroy(undisturbed.engine);
    machine_destroy(&undisturbed.machine);
    return good;
}

int main(int count, char **words)
{
    const char *sanitized = getenv("SANITIZED"), *build = getenv("BUILD"), *only = NULL;
    unsigned every = sanitized && strcmp(sanitized, "1") == 0 ? 17 : 1;
    char directory[256];
    int bad = 0;

    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--every") == 0 && i + 1 < count)
            every = (unsigned)strtoul(words[++i], NULL, 0);
        else
            only = words[i];
    }
    snprintf(directory, sizeof directory, "%s/guests", build ? build : "build");
    for (size_t i = 0; i < sizeof guests / sizeof guests[0]; i++)
        if (!only || strcmp(only, guests[i].name) == 0)
            bad += !check_guest(&guests[i], directory, every ? every : 1);
    return bad != 0;
}
