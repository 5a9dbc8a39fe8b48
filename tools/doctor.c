/*
 * encore doctor: what each engine can do on this host, and what that means for recordings made here.
 *
 * The KVM engine probes the host at every start and uses only what passed. Here the same probe runs a few times, so
 * that a facility that works only now and then shows as such, and the figures are medians.
 */
#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/doctor_timing.h"
#include "tools/guest.h"
#include "vmm/kvm/kvm_engine.h"
#include "vmm/soft/soft_engine.h"

#define ROUNDS 7u

struct findings {
    struct doctor_timing soft[ROUNDS];
    bool kvm; /* it can be used, and the rest is filled in */
    struct kvm_probe_result rounds[ROUNDS];
    struct doctor_timing timings[ROUNDS];
    struct engine_caps caps; /* of the last round */
};

/* A facility's place in struct kvm_probe_result, and its figure's (0: it has none). */
struct facility {
    const char *name;
    size_t works;
    size_t figure;
    const char *unit;
    double scale;
};

#define AT(field) offsetof(struct kvm_probe_result, field)

static const struct facility facilities[] = {
    {"counting emulated instructions (insn_emulation)", AT(counter_emulation), 0, NULL, 0},
    {"counting guest branches (perf, hardware counter)", AT(counter_branches), 0, NULL, 0},
    {"single step in the kernel (CPL0)", AT(single_step), AT(step_ns), "us a step", 1e-3},
    {"breakpoint in the kernel (CPL0)", AT(breakpoint), AT(breakpoint_ns), "us a hit, with the step over it", 1e-3},
    {"breakpoint in user code (CPL3)", AT(user_breakpoint), 0, NULL, 0},
    {"user code runs natively, unseen by the counter", AT(user_native), 0, NULL, 0},
    {"dirty page log is exact", AT(dirty_log), 0, NULL, 0},
    {"interrupt window opens at the exact instruction", AT(interrupt_window), 0, NULL, 0},
};

static bool works(const struct kvm_probe_result *result, const struct facility *facility)
{
    return *(const bool *)((const char *)result + facility->works);
}

static unsigned times_worked(const struct findings *findings, const struct facility *facility)
{
    unsigned count = 0;

    for (unsigned i = 0; i < ROUNDS; i++)
        count += works(&findings->rounds[i], facility);
    return count;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

/* The median of the figure at offset `figure` of each of ROUNDS structs of `size` bytes. */
static uint64_t median(const void *rounds, size_t size, size_t figure)
{
    uint64_t values[ROUNDS];

    for (size_t i = 0; i < ROUNDS; i++)
        values[i] = *(const uint64_t *)((const char *)rounds + i * size + figure);
    qsort(values, ROUNDS, sizeof values[0], compare);
    return values[ROUNDS / 2];
}

/* Measures on a new engine, which it destroys. */
static int time_engine(struct engine *engine, struct doctor_timing *timing, struct error *error)
{
    struct ram ram = {0};
    int result = doctor_time(engine, &ram, timing, error);

    engine_destroy(engine);
    ram_destroy(&ram);
    return result;
}

static int probe_kvm(struct findings *findings, struct error *error)
{
    const struct kvm_engine_options options = {0};

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct engine *engine = kvm_engine_create(&options, error);
        if (!engine)
            return -1;
        findings->rounds[i] = *kvm_engine_probe_result(engine);
        findings->caps = engine->caps;
        if (time_engine(engine, &findings->timings[i], error) < 0)
            return -1;
    }
    findings->kvm = true;
    return 0;
}

static int time_soft(struct findings *findings, struct error *error)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct engine *engine = soft_engine_create(&(struct engine_host){0}, error);
        if (!engine || time_engine(engine, &findings->soft[i], error) < 0)
            return -1;
    }
    return 0;
}

static void print_processor(void)
{
    static const char key[] = "model name";
    char line[256];
    FILE *stream = fopen("/proc/cpuinfo", "re");

    while (stream && fgets(line, sizeof line, stream)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, key, sizeof key - 1) == 0 && colon) {
            printf("processor  %s", colon + 1 + (colon[1] == ' '));
            break;
        }
    }
    if (stream)
        fclose(stream);
}

static void print_host(void)
{
    struct utsname host;

    print_processor();
    if (uname(&host) == 0)
        printf("kernel     %s %s\n", host.sysname, host.release);
}

static void print_facility(const struct findings *findings, const struct facility *facility)
{
    unsigned worked = times_worked(findings, facility);
    uint64_t figure = facility->figure ? median(findings->rounds, sizeof findings->rounds[0], facility->figure) : 0;
    char answer[32];

    if (worked == 0 || worked == ROUNDS)
        snprintf(answer, sizeof answer, "%s", worked ? "yes" : "no");
    else
        snprintf(answer, sizeof answer, "%u of %u", worked, ROUNDS);
    printf("%-50s %-13s", facility->name, answer);
    if (facility->figure && worked)
        printf(" %.1f %s", (double)figure * facility->scale, facility->unit);
    putchar('\n');
}

static void print_rate(const char *name, const struct doctor_timing *rounds, size_t figure)
{
    uint64_t ps = median(rounds, sizeof *rounds, figure);

    printf("%-64s %.1f million a second\n", name, 1e6 / (double)(ps ? ps : 1));
}

static void print_timings(const struct doctor_timing *rounds)
{
    uint64_t exit_ns = median(rounds, sizeof *rounds, offsetof(struct doctor_timing, exit_ns));

    printf("%-64s %.2f us\n", "port access, out to encore and back", (double)exit_ns / 1e3);
    print_rate("kernel instructions (CPL0)", rounds, offsetof(struct doctor_timing, kernel_ps));
    print_rate("user instructions (CPL3)", rounds, offsetof(struct doctor_timing, user_ps));
}

static void print_heading(const char *engine)
{
    printf("\n%-50s %-13s %s\n", engine, "works here", "figure (median)");
}

static void print_kvm_table(const struct findings *findings)
{
    print_heading("engine kvm");
    for (size_t i = 0; i < sizeof facilities / sizeof facilities[0]; i++)
        print_facility(findings, &facilities[i]);
    print_timings(findings->timings);
    if (*findings->rounds[ROUNDS - 1].notes)
        printf("note: %s\n", findings->rounds[ROUNDS - 1].notes);
}

static void print_soft_table(const struct findings *findings)
{
    print_heading("engine soft");
    printf("%-50s %s\n", "counting every instruction", "yes");
    print_timings(findings->soft);
}

static void print_kernel_meaning(const struct engine_caps *caps)
{
    if (caps->ticks && strcmp(caps->tick_unit, KVM_TICK_BRANCHES) == 0)
        printf("- Guest code is counted by its branches: an input can land between any two branches of the guest, and\n"
               "  a replay finds the place again.\n");
    else if (caps->ticks)
        printf(
            "- Kernel code (CPL0) is counted exactly: an input can land between exits, after any instruction, and a\n"
            "  replay finds the place again.\n");
    else if (caps->landmarks)
        printf("- No counter is exact here: a place between exits is named by what the machine looks like there, and\n"
               "  found again with a breakpoint. A replay of long loops is slower for it.\n");
    else
        printf("- Places between exits cannot be named: an input waits for the guest's next exit (a port access or\n"
               "  HLT). A guest that computes without exits gets no timer interrupts meanwhile.\n");
}

static void print_user_meaning(const struct kvm_probe_result *probe, const struct engine_caps *caps)
{
    if (caps->ticks && strcmp(caps->tick_unit, KVM_TICK_BRANCHES) == 0)
        return;
    if (probe->user_breakpoint && (caps->landmarks || caps->ticks))
        printf("- User code (CPL3) can be stopped by breakpoints: inputs can land there as well.\n");
    else if (probe->user_native)
        printf("- User code (CPL3) runs natively and its places cannot be named: an input that comes meanwhile waits\n"
               "  for the next entry into the guest's kernel (a system call, a fault, or a port access).\n");
    else
        printf("- Places in user code (CPL3) cannot be named: inputs wait for the guest's next exit.\n");
}

static bool all_steady(const struct findings *findings)
{
    for (size_t i = 0; i < sizeof facilities / sizeof facilities[0]; i++) {
        unsigned worked = times_worked(findings, &facilities[i]);
        if (worked != 0 && worked != ROUNDS)
            return false;
    }
    return true;
}

static void print_kvm_meaning(const struct findings *findings)
{
    const struct kvm_probe_result *probe = &findings->rounds[ROUNDS - 1];

    printf("\nWhat this means for the engine kvm:\n"
           "- It works here: guests can be run, recorded and replayed.\n");
    print_kernel_meaning(&findings->caps);
    print_user_meaning(probe, &findings->caps);
    if (!probe->dirty_log)
        printf("- The dirty page log is not exact: landmarks are not used.\n");
    if (!probe->interrupt_window)
        printf("- KVM's word on when interrupts open is not exact, and is not relied upon.\n");
    if (findings->caps.ticks)
        printf("- A log recorded here with ticks can be replayed on hosts with the same unit of ticks: %s.\n",
               findings->caps.tick_unit);
    if (!all_steady(findings))
        printf("- Some facilities work only now and then (see \"of %u\"). encore uses them in a run whose own probe "
               "passed;\n  a replay on such a host may have to be started again.\n",
               ROUNDS);
}

static void print_soft_meaning(void)
{
    printf(
        "\nWhat this means for the engine soft:\n"
        "- It is built in and needs no KVM. It counts every instruction exactly, in the kernel and in user code: an\n"
        "  input can land after any of them, and a replay finds the place again.\n"
        "- It alone has --clock virtual: guest time is executed instructions, and needs no log to be the same "
        "again.\n");
}

/* In the words of tools/guest.c, which makes the choice. */
static void print_choice(const struct findings *findings)
{
    struct error reason = {0};

    printf("\nWithout --engine (auto) ");
    if (!findings->kvm)
        printf("guests run on soft here: KVM cannot be used.\n");
    else if (guest_kvm_suits(&findings->caps, &findings->rounds[ROUNDS - 1], &reason))
        printf("guests run on kvm here: it can name places between exits and is fast in the\nkernel.\n");
    else
        printf("guests run on soft here, because\n%s.\n", reason.text);
    printf("Recorded and replicated guests run on soft then, on every host, because\n%s.\n", GUEST_WHY_EXACT);
}

int command_doctor(int argc, char **argv)
{
    static const struct argp argp = {
        .doc = "Finds out what the engines kvm and soft can do on this host, and what that means for recordings.\v"
               "Tiny known guests are run, and a facility of KVM counts as working only if what it did was exactly "
               "right. Exit code: 0 when guests can run here, be it on soft alone; 1 when not.",
    };
    struct findings findings = {0};
    struct error kvm_error = {0}, error = {0};

    command_line_parse(&argp, "doctor", argc, argv, NULL);
    print_host();
    if (time_soft(&findings, &error) < 0) {
        fprintf(stderr, "encore doctor: engine soft: %s\n", error.text);
        return error_exit_code(error.kind);
    }
    if (probe_kvm(&findings, &kvm_error) == 0)
        print_kvm_table(&findings);
    else
        printf("\nThe engine kvm cannot be used here: %s.\nGuests run on the engine soft.\n", kvm_error.text);
    print_soft_table(&findings);
    if (findings.kvm)
        print_kvm_meaning(&findings);
    print_soft_meaning();
    print_choice(&findings);
    return 0;
}
