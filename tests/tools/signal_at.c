/*
 * signal_at MICROSECONDS SIGNAL COMMAND [ARGUMENT...]: runs a command and sends it a signal so long after its start.
 *
 * Prints how it ended: "exit CODE" or "signal NUMBER" on a line of its own, on descriptor 3. The command starts with
 * every signal as it is by default; a shell's background processes do not.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    sigset_t none;

    if (argc < 4)
        return 2;
    long after = atol(argv[1]);
    int number = atoi(argv[2]), status;
    for (int i = 1; i < SIGRTMIN; i++)
        signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    pid_t child = vfork();
    if (child == 0) {
        execv(argv[3], argv + 3);
        _exit(127);
    }
    struct timespec pause = {.tv_sec = after / 1000000, .tv_nsec = after % 1000000 * 1000};
    nanosleep(&pause, NULL);
    kill(child, number);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 1;
    if (WIFSIGNALED(status))
        dprintf(3, "signal %d\n", WTERMSIG(status));
    else
        dprintf(3, "exit %d\n", WEXITSTATUS(status));
    return 0;
}
