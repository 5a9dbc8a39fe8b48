/*
 * What replication costs, and how long a takeover takes, as a console client sees it.
 *
 *     replicated ENCORE GUEST takeover RUNS    kills the primary in the middle of commands, RUNS times; prints
 *                                              "takeover MS", from SIGKILL to the first byte from the new primary
 *     replicated ENCORE GUEST latency N KEY    N commands, one at a time, alternately to a machine with a backup and to
 *                                              one without; prints "with US" and "without US", medians of batches
 *     replicated ENCORE GUEST throughput N KEY N commands without waiting for answers; prints for each condition the
 *                                              commands a second, "without CPS"; what one cost the guest's thread,
 *                                              "cpu_without US"; and all threads of both sides and the client,
 *                                              "all_without US". The conditions: "with", "without", "beside", which is
 *                                              without, while another machine is busy too, and "spinning", while a
 *                                              process only takes processor time
 *
 * GUEST is guests/kv. With a KEY of 1 everything is encrypted. All over ipc:// in a fresh directory of TMPDIR, where
 * the arbiter's files are too.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "replication/console_client.h"
#include "replication/link.h"
#include "vmm/host/clock.h"

#define MS UINT64_C(1000000)
/* Many and short, for the host's speed changes within seconds. */
#define ROUNDS 31
/* What a backup under this load and both nodes take, in percent of a processor. */
#define SPIN_SHARE 70

struct pair {
    pid_t primary, backup;
    char directory[64], addresses[2][100];
    struct link *links[2];
    struct console_client client;
    uint64_t lines; /* of output, ended */
};

static const char *encore, *guest;
static char key_path[80];
static struct keys keys;

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "replicated: %s: %s\n", what, why);
    exit(1);
}

/* Starts encore with its messages in a file of the directory. */
static pid_t start(const struct pair *pair, const char *name, const char *const arguments[])
{
    char path[100];

    snprintf(path, sizeof path, "%s/%s", pair->directory, name);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(fd, STDERR_FILENO);
        dup2(fd, STDOUT_FILENO);
        execv(encore, (char *const *)arguments);
        _exit(127);
    }
    return pid;
}

/* Waits until the messages of a side hold a text; ten seconds at most. */
static void await(const struct pair *pair, const char *name, const char *text)
{
    char path[100], said[8192];

    snprintf(path, sizeof path, "%s/%s", pair->directory, name);
    for (int n = 0; n < 1000; n++) {
        int fd = open(path, O_RDONLY);
        ssize_t length = fd < 0 ? 0 : read(fd, said, sizeof said - 1);
        if (fd >= 0)
            close(fd);
        said[length < 0 ? 0 : length] = 0;
        if (strstr(said, text))
            return;
        usleep(10000);
    }
    fail(text, "was not said within ten seconds");
}

/* One turn of the client: waits `ms` at most for something. Returns whether new output came. */
static bool turn(struct pair *pair, int ms)
{
    struct bytes_writer out = bytes_writer(CONSOLE_MESSAGE_MAX);
    struct pollfd fds[4];
    const uint8_t *bytes, *output;
    size_t length, new;
    struct console_message message;
    struct error error;
    unsigned link;
    bool came = false;
    nfds_t count = 0;

    while (console_client_next(&pair->client, host_clock_now(), &link, &out)) {
        link_send(pair->links[link], out.data, out.length);
        bytes_writer_clear(&out);
    }
    for (unsigned n = 0; n < pair->client.links; n++) {
        count += link_poll(pair->links[n], &fds[count]);
    }
    poll(fds, count, ms);
    for (unsigned n = 0; n < pair->client.links; n++) {
        enum link_input input;
        link_tend(pair->links[n], host_clock_now());
        while ((input = link_receive(pair->links[n], &bytes, &length, &error)) != LINK_NOTHING) {
            if (input == LINK_UP || input == LINK_DOWN)
                console_client_unlinked(&pair->client, n, host_clock_now());
            if (input != LINK_MESSAGE || console_message_decode(bytes, length, &message, &error) < 0)
                continue;
            console_client_receive(&pair->client, n, &message, host_clock_now(), &output, &new);
            came |= new > 0;
            for (size_t i = 0; i < new; i++)
                pair->lines += output[i] == '\n';
        }
    }
    bytes_writer_free(&out);
    return came;
}

static void await_lines(struct pair *pair, uint64_t lines)
{
    uint64_t until = host_clock_now() + 20000 * MS;

    while (pair->lines < lines) {
        turn(pair, 5);
        if (host_clock_now() > until)
            fail("the guest", "does not answer");
    }
}

static void open_client(struct pair *pair, unsigned links)
{
    struct error error;

    console_client_init(&pair->client, host_clock_now() | 1, links, true, CONSOLE_WRITE);
    for (unsigned n = 0; n < links; n++) {
        pair->links[n] = link_connect(pair->addresses[n], SESSION_CONSOLE, key_path[0] ? &keys : NULL, &error);
        if (!pair->links[n])
            fail("connecting", error.text);
    }
    await_lines(pair, 1);
}

static void start_pair(struct pair *pair, bool backup)
{
    char arbiter[100];

    const char *where = getenv("TMPDIR");

    *pair = (struct pair){0};
    snprintf(pair->directory, sizeof pair->directory, "%.40s/encore-bench.XXXXXX", where ? where : "/tmp");
    if (!mkdtemp(pair->directory))
        fail("mkdtemp", "failed");
    snprintf(arbiter, sizeof arbiter, "file:%s/arbiter", pair->directory);
    for (int n = 0; n < 2; n++)
        snprintf(pair->addresses[n], sizeof pair->addresses[n], "ipc://%s/%d", pair->directory, n);
    const char *const primary[] = {encore,      "primary",
                                   "--engine",  "soft",
                                   "--listen",  pair->addresses[0],
                                   "--arbiter", arbiter,
                                   guest,       key_path[0] ? "--key" : NULL,
                                   key_path,    NULL};
    pair->primary = start(pair, "primary.err", primary);
    if (backup) {
        const char *const other[] = {encore,
                                     "backup",
                                     "--listen",
                                     pair->addresses[1],
                                     "--connect",
                                     pair->addresses[0],
                                     "--arbiter",
                                     arbiter,
                                     key_path[0] ? "--key" : NULL,
                                     key_path,
                                     NULL};
        pair->backup = start(pair, "backup.err", other);
        await(pair, "primary.err", "output waits");
        await(pair, "backup.err", "ready to take over");
    }
    open_client(pair, backup ? 2 : 1);
}

static void end_process(pid_t pid)
{
    if (pid <= 0)
        return;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void end_pair(struct pair *pair)
{
    char command[100];

    end_process(pair->primary);
    end_process(pair->backup);
    for (unsigned n = 0; n < pair->client.links; n++)
        link_close(pair->links[n]);
    snprintf(command, sizeof command, "rm -rf %s", pair->directory);
    if (system(command) != 0)
        fail(command, "failed");
}

static void type(struct pair *pair, const char *text)
{
    if (console_client_type(&pair->client, (const uint8_t *)text, strlen(text)) != strlen(text))
        fail("typing", "too much is unconfirmed");
}

static void takeover(unsigned runs)
{
    for (unsigned run = 0; run < runs; run++) {
        struct pair pair;
        start_pair(&pair, true);
        for (unsigned n = 0; n < 20 + run % 50; n++) {
            type(&pair, "INCR a\n");
            await_lines(&pair, 2 + n);
        }
        /* Another moment of the heartbeat's period each time. */
        usleep(run * 7919 % 25000);
        type(&pair, "INCR a\n");
        uint64_t killed = host_clock_now();
        end_process(pair.primary);
        pair.primary = 0;
        uint64_t lines = pair.lines;
        while (pair.client.epoch < 2 || pair.lines == lines) {
            if (turn(&pair, 2) && pair.client.epoch < 2)
                lines = pair.lines; /* it had left before */
            if (pair.client.epoch < 2 && pair.client.kept_length == 0)
                type(&pair, "INCR a\n");
            if (host_clock_now() - killed > 20000 * MS)
                fail("takeover", "none within twenty seconds");
        }
        printf("takeover %.3f\n", (double)(host_clock_now() - killed) / 1e6);
        fflush(stdout);
        end_pair(&pair);
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The median time of a command, microseconds. */
static double batch(struct pair *pair, unsigned count)
{
    static double times[1000];

    for (unsigned n = 0; n < count; n++) {
        uint64_t lines = pair->lines, begun = host_clock_now();
        type(pair, "INCR a\n");
        await_lines(pair, lines + 1);
        times[n] = (double)(host_clock_now() - begun) / 1e3;
    }
    qsort(times, count, sizeof times[0], compare);
    return times[count / 2];
}

static void latency(unsigned batches)
{
    struct pair with, without;

    start_pair(&with, true);
    start_pair(&without, false);
    for (unsigned n = 0; n < batches; n++) {
        printf("without %.1f\n", batch(&without, 500));
        printf("with %.1f\n", batch(&with, 500));
    }
    end_pair(&with);
    end_pair(&without);
}

/* Processor time, ms: fields 14 and 15 of a process's or thread's stat (proc(5)). */
static double stat_time(const char *path)
{
    char text[512];
    unsigned long user, system;

    FILE *file = fopen(path, "r");
    if (!file || !fgets(text, sizeof text, file) ||
        sscanf(strrchr(text, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        fail(path, "cannot be read");
    fclose(file);
    return (double)(user + system) * 1e3 / (double)sysconf(_SC_CLK_TCK);
}

/* Of the thread that runs the guest. */
static double machine_time(const struct pair *pair)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pair->primary, pair->primary);
    return stat_time(path);
}

/* Of both sides, all their threads, and the client. */
static double time_of_all(const struct pair *pair)
{
    pid_t pids[] = {pair->primary, pair->backup, getpid()};
    double sum = 0;

    for (unsigned n = 0; n < 3; n++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/stat", pids[n]);
        if (pids[n])
            sum += stat_time(path);
    }
    return sum;
}

/* `count` commands without waiting for the answers. */
static void stream(struct pair *pair, unsigned count)
{
    uint64_t lines = pair->lines;

    for (unsigned typed = 0; pair->lines < lines + count;) {
        while (typed < count && pair->client.kept_length + 7 <= CLIENT_KEEP) {
            type(pair, "INCR a\n");
            typed++;
        }
        turn(pair, 5);
    }
}

/* How many of them a second, and what they cost. */
static void measure_stream(struct pair *pair, unsigned count, const char *name)
{
    uint64_t begun = host_clock_now();
    double busy = machine_time(pair), all = time_of_all(pair);

    stream(pair, count);
    printf("%s %.0f\n", name, count / ((double)(host_clock_now() - begun) / 1e9));
    printf("cpu_%s %.3f\n", name, (machine_time(pair) - busy) * 1e3 / count);
    printf("all_%s %.3f\n", name, (time_of_all(pair) - all) * 1e3 / count);
}

/* A process with a machine of its own, which is kept busy each time that a byte comes, for longer than others measure;
 * then it sends the byte back. */
static void neighbour(int fd, unsigned count)
{
    struct pair pair;
    char byte;

    start_pair(&pair, false);
    while (write(fd, "r", 1) == 1 && read(fd, &byte, 1) == 1)
        stream(&pair, 4 * count);
    end_pair(&pair);
    exit(0);
}

static void await_neighbour(int fd)
{
    char byte;

    if (read(fd, &byte, 1) != 1)
        fail("the machine beside", "is gone");
}

/* A process that takes SPIN_SHARE % of a processor, and touches nothing but its registers, from one byte to the next.
 */
static void spinner(int fd, unsigned count)
{
    struct pollfd next = {.fd = fd, .events = POLLIN};
    char byte;

    (void)count;
    while (read(fd, &byte, 1) == 1) {
        while (poll(&next, 1, 0) == 0) {
            uint64_t until = host_clock_now() + SPIN_SHARE * MS / 100;
            while (host_clock_now() < until)
                ;
            usleep((100 - SPIN_SHARE) * 10);
        }
        if (read(fd, &byte, 1) != 1)
            break;
    }
    exit(0);
}

/* A process of its own, at the other end of a socket. */
static pid_t beside(void (*run)(int fd, unsigned count), unsigned count, int *fd)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        fail("socketpair", "failed");
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        run(fds[1], count);
    }
    close(fds[1]);
    *fd = fds[0];
    return pid;
}

static void tell(int fd)
{
    if (write(fd, "r", 1) != 1)
        fail("the process beside", "is gone");
}

static void throughput(unsigned count)
{
    struct pair with, without;
    int machine, loop;

    pid_t pids[] = {beside(neighbour, count, &machine), beside(spinner, count, &loop)};
    start_pair(&with, true);
    start_pair(&without, false);
    for (unsigned n = 0; n < ROUNDS; n++) {
        await_neighbour(machine);
        measure_stream(&without, count, "without");
        measure_stream(&with, count, "with");
        tell(loop);
        measure_stream(&without, count, "spinning");
        tell(loop);
        tell(machine);
        measure_stream(&without, count, "beside");
    }
    await_neighbour(machine);
    close(machine);
    close(loop);
    for (unsigned n = 0; n < 2; n++)
        waitpid(pids[n], NULL, 0);
    end_pair(&with);
    end_pair(&without);
}

int main(int argc, char **argv)
{
    struct error error;

    if (argc < 5)
        fail("usage", "replicated ENCORE GUEST takeover|latency|throughput N [KEY]");
    encore = argv[1];
    guest = argv[2];
    unsigned count = (unsigned)atoi(argv[4]);
    if (argc > 5 && strcmp(argv[5], "1") == 0) {
        snprintf(key_path, sizeof key_path, "/tmp/encore-bench-key.%d", getpid());
        if (keys_write_master(key_path, &error) < 0 || keys_read(NULL, key_path, KEY_MASTER, &keys, &error) < 0)
            fail("key", error.text);
    }
    if (strcmp(argv[3], "takeover") == 0)
        takeover(count);
    else if (strcmp(argv[3], "latency") == 0)
        latency(count);
    else
        throughput(count);
    if (key_path[0])
        unlink(key_path);
    return 0;
}
