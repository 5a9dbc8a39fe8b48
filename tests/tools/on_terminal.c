/*
 * on_terminal leader|job STEP... -- COMMAND [ARGUMENT...]: runs a command on a new pseudo-terminal, does the steps one
 * after the other, and prints on one line how the command ended and what became of the terminal: "exit CODE" or
 * "signal NUMBER", and "restored" or "changed". As `leader` the command leads the terminal's session, as one that a
 * terminal emulator starts; as `job` it is in the foreground of our session, as one that a shell starts.
 *
 * Steps:
 *   raw        wait until the command has put the terminal into raw mode (ICANON off)
 *   cooked     wait until its settings are again as they were
 *   stopped    wait until the command has stopped
 *   NUMBER     send that signal
 *   hangup     close the terminal's other end (nothing can be said of the settings after that)
 *   :TEXT      type TEXT
 *   wait       wait for half a second
 * A step that is waited for in vain for ten seconds is printed, and the command killed.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

struct terminal {
    int master, slave; /* -1: closed */
    struct termios before;
    pid_t child;
    bool gone;
    int status;
};

static void run_child(const char *name, bool leader, char **command)
{
    sigset_t none;

    if (!leader)
        setpgid(0, 0);

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int i = 1; i < SIGRTMIN; i++)
        signal(i, SIG_DFL);
    if (leader)
        setsid();
    int slave = open(name, O_RDWR); /* the first terminal that a session's leader opens becomes its own */
    if (!leader) {
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(slave, getpid());
        signal(SIGTTOU, SIG_DFL);
    }
    for (int fd = 0; fd < 3; fd++)
        dup2(slave, fd);
    if (slave > 2)
        close(slave);
    execv(command[0], command);
    _exit(127);
}

/* What the command prints must not fill the terminal. */
static void drain(const struct terminal *terminal)
{
    struct pollfd polled = {.fd = terminal->master, .events = POLLIN};
    char bytes[4096];

    while (terminal->master >= 0 && poll(&polled, 1, 0) > 0 && polled.revents & POLLIN) {
        ssize_t got = read(terminal->master, bytes, sizeof bytes);
        if (got <= 0)
            break;
        fwrite(bytes, 1, (size_t)got, stderr);
    }
}

static bool as_before(const struct terminal *terminal)
{
    struct termios now;

    return tcgetattr(terminal->slave, &now) == 0 && now.c_lflag == terminal->before.c_lflag &&
           now.c_iflag == terminal->before.c_iflag && now.c_oflag == terminal->before.c_oflag &&
           memcmp(now.c_cc, terminal->before.c_cc, sizeof now.c_cc) == 0;
}

static bool holds(struct terminal *terminal, const char *step)
{
    struct termios now;
    int status;

    if (strcmp(step, "raw") == 0)
        return tcgetattr(terminal->slave, &now) == 0 && !(now.c_lflag & ICANON);
    if (strcmp(step, "cooked") == 0)
        return as_before(terminal);
    if (waitpid(terminal->child, &status, WNOHANG | WUNTRACED) != terminal->child)
        return false;
    if (WIFSTOPPED(status))
        return strcmp(step, "stopped") == 0;
    terminal->gone = true;
    terminal->status = status;
    return strcmp(step, "end") == 0;
}

static bool await(struct terminal *terminal, const char *step)
{
    static const struct timespec pause = {.tv_nsec = 5000000};

    for (unsigned tries = 0; tries < 2000 && !terminal->gone; tries++) {
        drain(terminal);
        if (holds(terminal, step))
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

static bool take_step(struct terminal *terminal, const char *step)
{
    if (strcmp(step, "hangup") == 0) {
        close(terminal->slave);
        close(terminal->master);
        terminal->slave = terminal->master = -1;
        return true;
    }
    if (strcmp(step, "wait") == 0) {
        static const struct timespec pause = {.tv_nsec = 10000000};
        for (unsigned i = 0; i < 50; i++) {
            drain(terminal);
            nanosleep(&pause, NULL);
        }
        return true;
    }
    if (*step == ':')
        return write(terminal->master, step + 1, strlen(step + 1)) > 0;
    if (atoi(step) > 0)
        return kill(terminal->child, atoi(step)) == 0;
    return await(terminal, step);
}

int main(int argc, char **argv)
{
    struct terminal terminal = {.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
    bool leader = argc > 1 && strcmp(argv[1], "leader") == 0;
    int at = 2;

    if (terminal.master < 0 || grantpt(terminal.master) < 0 || unlockpt(terminal.master) < 0)
        return 1;
    const char *name = ptsname(terminal.master);
    signal(SIGHUP, SIG_IGN);
    if (!leader && setsid() < 0)
        return 1;
    terminal.slave = open(name, O_RDWR | (leader ? O_NOCTTY : 0) | O_CLOEXEC);
    if (terminal.slave < 0 || tcgetattr(terminal.slave, &terminal.before) < 0)
        return 1;
    int command = 2;
    while (command < argc && strcmp(argv[command], "--") != 0)
        command++;
    if (command + 1 >= argc)
        return 2;
    terminal.child = fork();
    if (terminal.child == 0)
        run_child(name, leader, argv + command + 1);
    while (at < command && take_step(&terminal, argv[at]))
        at++;
    if (at < command || !await(&terminal, "end")) {
        printf("in vain: %s, ", at < command ? argv[at] : "end");
        if (!terminal.gone) {
            kill(terminal.child, SIGKILL);
            waitpid(terminal.child, &terminal.status, 0);
        }
    }
    drain(&terminal);
    if (WIFSIGNALED(terminal.status))
        printf("signal %d", WTERMSIG(terminal.status));
    else
        printf("exit %d", WEXITSTATUS(terminal.status));
    printf("%s\n", terminal.slave < 0 ? "" : as_before(&terminal) ? ", restored" : ", changed");
    return 0;
}
