/*
 * How long it takes until a guest runs.
 *
 *     startup ENCORE ENGINE IMAGE
 *
 * First from within: this process builds the machine as `encore run` does and goes as far as the first exit, that is,
 * until the first moment at which the guest is seen to have executed something. Then from without: ENCORE runs IMAGE in
 * a process of its own, and what is timed is from before the fork to the first byte that the guest printed, and to the
 * process's end. Printed:
 *   engine       the engine: with kvm, opening /dev/kvm, making the vCPU, probing what it can do
 *   machine      memory and chips, reading and loading the image: after that, the guest can run
 *   ready        the two together, from the start of main
 *   first_exit   ready, and the guest's own instructions before its first exit
 *   first_byte   `encore run`: fork, exec, dynamic linking and all, to the guest's first byte on the console
 *   whole_run    `encore run` to its end
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench_guest.h"
#include "vmm/host/clock.h"

static void from_within(const char *engine, const char *image)
{
    uint64_t start = host_clock_now(), engine_done;
    struct error error = {0};
    struct guest guest;

    bench_guest_create(&guest, engine, MACHINE_RAM_DEFAULT, image, &engine_done);
    if (guest_boot(&guest, &error) < 0)
        bench_fail("boot", &error);
    uint64_t ready = host_clock_now();
    const struct position first = position_at_exit(1);
    enum engine_stop stop = machine_run_to(&guest.machine, &first, &error);
    uint64_t exited = host_clock_now();
    if (stop != ENGINE_STOP_POSITION)
        bench_fail("the guest made no exit", &error);
    bench_print_ms("engine", engine_done - start);
    bench_print_ms("machine", ready - engine_done);
    bench_print_ms("ready", ready - start);
    bench_print_ms("first_exit", exited - start);
    guest_free(&guest);
}

static void run_encore(char *encore, char *engine, char *image, int output)
{
    char run[] = "run", option[] = "--engine";
    char *const arguments[] = {encore, run, option, engine, image, NULL};

    if (dup2(output, STDOUT_FILENO) < 0 || close(STDIN_FILENO) < 0)
        _exit(127);
    execv(encore, arguments);
    _exit(127);
}

static int from_without(char *encore, char *engine, char *image)
{
    int ends[2], status;
    char bytes[512];

    if (pipe(ends) < 0)
        return -1;
    uint64_t start = host_clock_now();
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        run_encore(encore, engine, image, ends[1]);
    }
    close(ends[1]);
    ssize_t got = child < 0 ? -1 : read(ends[0], bytes, sizeof bytes);
    uint64_t first = host_clock_now();
    while (got > 0)
        got = read(ends[0], bytes, sizeof bytes);
    if (got < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 1)
        return -1;
    bench_print_ms("first_byte", first - start);
    bench_print_ms("whole_run", host_clock_now() - start);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: startup ENCORE ENGINE IMAGE\n");
        return 2;
    }
    from_within(argv[2], argv[3]);
    if (from_without(argv[1], argv[2], argv[3]) < 0) {
        fprintf(stderr, "bench: %s run %s did not end with the guest's success\n", argv[1], argv[3]);
        return 1;
    }
    return 0;
}
