/*
 * Is the replication protocol right? See docs/replication.md, "How it is shown", and tests/simulation/simulation.h.
 *
 *     replication_sim [--seeds N] [--first S] [--jobs N] [--failures N]   seeds S, S + 1, ...; each job ends at its
 *                                                                         N-th failure
 *     replication_sim --seed S                                            one seed, with all that happens
 *     replication_sim --expect CHECK [--seeds N] ...                      0 only if that check fails for one of the
 * seeds
 *
 * Without options: 200,000 seeds from 1, the same each time.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "tests/simulation/simulation.h"

#define DEFAULT_SEEDS UINT64_C(200000)
/* Under the sanitizers, which look for other things, fewer. */
#define SANITIZED_SEEDS UINT64_C(3000)
#define FAILURES        3
#define JOBS_MAX        64

struct plan {
    const char *program, *expect;
    uint64_t first, seeds, failures;
    unsigned jobs;
};

/* What a job tells: a count of each thing, or a failure. */
struct report {
    bool failed;
    uint64_t seed;
    char check[24], text[240];
    uint64_t runs, counts[SIM_COUNTS];
};

static void tell(int out, const struct report *report)
{
    CHECK(write(out, report, sizeof *report) == (ssize_t)sizeof *report);
}

/* Seeds first + job, first + job + jobs, ...; ends at the first that fails as it should, or a few that should not. */
static void work(const struct plan *plan, unsigned job, int out)
{
    struct sim_world *world = sim_new();
    struct report done = {0};

    /* A gate's ring is large and hardly used: memory that is kept spares the kernel from clearing it each time. */
    mallopt(M_MMAP_THRESHOLD, 256 << 20);
    mallopt(M_TRIM_THRESHOLD, 512 << 20);
    uint64_t failures = 0;

    for (uint64_t n = job; n < plan->seeds && failures < plan->failures; n += plan->jobs) {
        const char *failed = sim_run(world, plan->first + n, false);
        done.runs++;
        if (!failed || (plan->expect && strcmp(failed, plan->expect) != 0))
            continue;
        struct report report = {.failed = true, .seed = plan->first + n};
        snprintf(report.check, sizeof report.check, "%s", failed);
        snprintf(report.text, sizeof report.text, "%s", world->checker.text);
        tell(out, &report);
        failures = plan->expect ? plan->failures : failures + 1;
    }
    memcpy(done.counts, world->counts, sizeof done.counts);
    tell(out, &done);
    sim_free(world);
}

static void show_failure(const struct plan *plan, const struct report *report)
{
    printf("not ok - replication: %s, seed %" PRIu64 ": %s\n    again: %s --seed %" PRIu64 "\n", report->check,
           report->seed, report->text, plan->program, report->seed);
}

static void show_counts(uint64_t runs, const uint64_t *counts)
{
    printf("# %" PRIu64 " runs: %" PRIu64 " to the end, %" PRIu64 " where the guest ended first, %" PRIu64
           " where nobody was left\n",
           runs, counts[SIM_RUNS_DONE], counts[SIM_RUNS_ENDED], counts[SIM_RUNS_DEAD]);
    printf("# %" PRIu64 " backups became members, %" PRIu64 " took over, %" PRIu64
           " primaries won and went on alone, %" PRIu64 " machines stopped\n",
           counts[SIM_MEMBERS], counts[SIM_TAKEOVERS], counts[SIM_WON_ALONE], counts[SIM_LOSERS]);
    printf("# %" PRIu64 " processes killed, %" PRIu64 " divergences, %" PRIu64 " handovers begun, %" PRIu64
           " steps of replicas\n",
           counts[SIM_CRASHES], counts[SIM_DIVERGENCES], counts[SIM_HANDOVERS], counts[SIM_STEPS]);
    printf("# the arbiter lost its memory %" PRIu64 " times; the operator put it right %" PRIu64 " times, %" PRIu64
           " of them when somebody waited for it\n",
           counts[SIM_FORGOTTEN], counts[SIM_RESETS], counts[SIM_HELD]);
}

/* Starts the jobs; returns where their reports can be read. */
static int start_jobs(const struct plan *plan, pid_t *children)
{
    int ends[2];

    CHECK(pipe(ends) == 0);
    fflush(stdout);
    for (unsigned job = 0; job < plan->jobs; job++) {
        children[job] = fork();
        CHECK(children[job] >= 0);
        if (children[job] == 0) {
            close(ends[0]);
            work(plan, job, ends[1]);
            exit(0);
        }
    }
    close(ends[1]);
    return ends[0];
}

static bool all_ended_well(const struct plan *plan, const pid_t *children)
{
    bool well = true;

    for (unsigned job = 0; job < plan->jobs; job++) {
        int status;
        if (waitpid(children[job], &status, 0) != children[job] || status != 0) {
            printf("# job %u of %u died (status %d)\n", job, plan->jobs, status);
            well = false;
        }
    }
    return well;
}

static int run_seeds(const struct plan *plan)
{
    pid_t children[JOBS_MAX];
    uint64_t runs = 0, counts[SIM_COUNTS] = {0}, failures = 0;
    struct report report;
    int in = start_jobs(plan, children);

    while (read(in, &report, sizeof report) == (ssize_t)sizeof report) {
        runs += report.runs;
        for (unsigned n = 0; n < SIM_COUNTS; n++)
            counts[n] += report.counts[n];
        failures += report.failed;
        if (report.failed && plan->expect && failures == 1)
            printf("# caught: %s, seed %" PRIu64 ": %s\n", report.check, report.seed, report.text);
        else if (report.failed && !plan->expect)
            show_failure(plan, &report);
    }
    close(in);
    bool well = all_ended_well(plan, children);
    if (plan->expect)
        return failures > 0 ? 0 : 1;
    show_counts(runs, counts);
    if (well && failures == 0)
        printf("ok - replication: %" PRIu64 " seeds from %" PRIu64 "\n", runs, plan->first);
    else if (failures == 0)
        printf("not ok - replication: a job died; each of its seeds alone shows which: %s --seed N\n", plan->program);
    return !well || failures > 0;
}

static int run_one(const struct plan *plan, uint64_t seed)
{
    struct sim_world *world = sim_new();
    const char *failed = sim_run(world, seed, true);

    if (failed)
        printf("not ok - replication: %s, seed %" PRIu64 ": %s\n", failed, seed, world->checker.text);
    else
        printf("ok - replication: seed %" PRIu64 "\n", seed);
    sim_free(world);
    (void)plan;
    return failed != NULL;
}

static uint64_t number(const char *text)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 0);
    if (errno || *end || end == text) {
        fprintf(stderr, "replication_sim: '%s' is not a number\n", text);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seeds", required_argument, NULL, 'n'},
                                            {"first", required_argument, NULL, 'f'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {"expect", required_argument, NULL, 'e'},
                                            {"failures", required_argument, NULL, 'x'},
                                            {0}};
    const char *sanitized = getenv("SANITIZED");
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct plan plan = {.program = argv[0], .first = 1, .failures = FAILURES};

    plan.seeds = sanitized && *sanitized == '1' ? SANITIZED_SEEDS : DEFAULT_SEEDS;
    plan.jobs = processors < 1 ? 1 : processors > JOBS_MAX ? JOBS_MAX : (unsigned)processors;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 's')
            return run_one(&plan, number(optarg));
        if (option == 'n')
            plan.seeds = number(optarg);
        else if (option == 'f')
            plan.first = number(optarg);
        else if (option == 'x')
            plan.failures = number(optarg);
        else if (option == 'j')
            plan.jobs = (unsigned)number(optarg);
        else if (option == 'e')
            plan.expect = optarg;
        else
            return 2;
    }
    if (plan.jobs < 1 || plan.jobs > JOBS_MAX)
        return 2;
    return run_seeds(&plan);
}
