/* The kicker: every event is told once, none is lost, and none comes unasked. A lost one is seen as a test that hangs,
 * which the alarm in main ends. */
#include "tests/unit/host_testing.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "tests/unit/device_testing.h"
#include "vmm/host/clock.h"
#include "vmm/host/kicker.h"

#define SECOND UINT64_C(1000000000)

struct kicked {
    struct kicker *_Atomic kicker;
    sem_t kicks;
    atomic_bool bare;    /* a kick came while no event was to be seen */
    atomic_bool exposed; /* the thread does not block all signals */
};

static void on_kick(void *context)
{
    struct kicked *kicked = context;
    struct kicker *kicker = atomic_load(&kicked->kicker);
    sigset_t mask;

    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    if (!sigismember(&mask, SIGUSR1) || !sigismember(&mask, SIGINT) || !sigismember(&mask, SIGTERM))
        atomic_store(&kicked->exposed, true);
    if (kicker && kicker_events(kicker) == 0)
        atomic_store(&kicked->bare, true);
    sem_post(&kicked->kicks);
}

static struct kicker *start_with(struct kicked *kicked, int signals)
{
    struct error error = {0};

    memset(kicked, 0, sizeof *kicked);
    assert_int_equal(sem_init(&kicked->kicks, 0, 0), 0);
    struct kicker *kicker = kicker_start(on_kick, kicked, signals, &error);
    assert_non_null(kicker);
    atomic_store(&kicked->kicker, kicker);
    return kicker;
}

static struct kicker *start(struct kicked *kicked)
{
    return start_with(kicked, -1);
}

static void stop(struct kicker *kicker, struct kicked *kicked)
{
    kicker_stop(kicker);
    assert_false(kicked->exposed);
    sem_destroy(&kicked->kicks);
}

/* Waits for the next events, which must be exactly these. */
static void expect(struct kicker *kicker, uint32_t events)
{
    kicker_wait(kicker);
    assert_int_equal(kicker_events(kicker), events);
    assert_int_equal(kicker_take(kicker), events);
    assert_int_equal(kicker_events(kicker), 0);
}

/* Nothing is to be told: an alarm comes, and comes alone. */
static void expect_nothing(struct kicker *kicker)
{
    kicker_alarm(kicker, 1);
    expect(kicker, KICKER_ALARM);
}

static void alarms(void **unused)
{
    (void)unused;
    struct kicked kicked;
    struct kicker *kicker = start(&kicked);

    uint64_t when = host_clock_now() + SECOND / 100;
    kicker_alarm(kicker, when);
    kicker_alarm(kicker, when);
    expect(kicker, KICKER_ALARM);
    assert_true(host_clock_now() >= when);

    /* Taken, the same time fires again; zero is a time like any other that is past. */
    kicker_alarm(kicker, when);
    expect(kicker, KICKER_ALARM);
    kicker_alarm(kicker, 0);
    expect(kicker, KICKER_ALARM);
    kicker_alarm(kicker, 0);
    expect(kicker, KICKER_ALARM);

    /* Moved forward, and from the far future. */
    kicker_alarm(kicker, UINT64_MAX - 1);
    kicker_alarm(kicker, host_clock_now() + 3600 * SECOND);
    kicker_alarm(kicker, host_clock_now() + SECOND / 1000);
    expect(kicker, KICKER_ALARM);
    stop(kicker, &kicked);
}

static void alarm_is_taken_back(void **unused)
{
    (void)unused;
    struct kicked kicked;
    struct kicker *kicker = start(&kicked);
    struct error error;
    int pipe_ends[2];

    assert_int_equal(pipe(pipe_ends), 0);
    assert_int_equal(kicker_watch(kicker, 0, pipe_ends[0], &error), 0);
    uint64_t when = host_clock_now() + SECOND / 100;
    kicker_alarm(kicker, when);
    kicker_alarm(kicker, UINT64_MAX);
    while (host_clock_now() < when + SECOND / 100)
        usleep(1000);
    assert_int_equal(write(pipe_ends[1], "x", 1), 1);
    expect(kicker, KICKER_WATCH(0));
    stop(kicker, &kicked);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

/* The alarm is told to one who sleeps and to one who does not, whichever he was when it was set. */
static void alarm_outlives_a_wait(void **unused)
{
    (void)unused;
    struct kicked kicked;
    struct kicker *kicker = start(&kicked);
    struct error error;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(kicker_watch(kicker, 0, ends[0], &error), 0);
    kicker_alarm(kicker, host_clock_now() + SECOND / 10);
    assert_int_equal(write(ends[1], "x", 1), 1);
    kicker_wait(kicker);
    uint32_t events = kicker_take(kicker);
    while (!(events & KICKER_ALARM)) {
        assert_int_equal(sem_wait(&kicked.kicks), 0);
        events |= kicker_take(kicker);
    }
    assert_int_equal(events, KICKER_ALARM | KICKER_WATCH(0));
    stop(kicker, &kicked);
    close(ends[0]);
    close(ends[1]);
}

/* An alarm that goes off while it is set anew does not use up the new setting. */
static void alarm_is_moved_while_it_goes_off(void **unused)
{
    (void)unused;
    struct kicked kicked;
    struct kicker *kicker = start(&kicked);
    struct dice dice = {.seed = 42};

    for (unsigned round = 0; round < 2000; round++) {
        uint64_t near = host_clock_now() + dice_below(&dice, 20000);
        uint64_t again = near + dice_below(&dice, 80000);
        kicker_alarm(kicker, near);
        while (host_clock_now() < again)
            continue;
        uint64_t far = host_clock_now() + SECOND / 2000;
        kicker_alarm(kicker, far);
        do {
            kicker_wait(kicker);
            kicker_take(kicker);
        } while (host_clock_now() < far);
    }
    stop(kicker, &kicked);
}

static void watches(void **unused)
{
    (void)unused;
    struct kicked kicked;
    struct kicker *kicker = start(&kicked);
    struct error error;
    int one[2], two[2];
    char byte;

    assert_int_equal(pipe(one), 0);
    assert_int_equal(pipe(two), 0);
    assert_int_equal(kicker_watch(kicker, 0, one[0], &error), 0);
    assert_int_equal(kicker_watch(kicker, KICKER_WATCHES - 1, two[0], &error), 0);
    expect_nothing(kicker);

    /* Once, though it stays readable. */
    assert_int_equal(write(one[1], "x", 1), 1);
    expect(kicker, KICKER_WATCH(0));
    expect_nothing(kicker);
    kicker_rearm(kicker, 0);
    expect(kicker, KICKER_WATCH(0));
    assert_int_equal(write(two[1], "y", 1), 1);
    expect(kicker, KICKER_WATCH(KICKER_WATCHES - 1));

    assert_int_equal(read(one[0], &byte, 1), 1);
    kicker_rearm(kicker, 0);
    expect_nothing(kicker);
    assert_int_equal(write(one[1], "x", 1), 1);
    expect(kicker, KICKER_WATCH(0));
    assert_int_equal(read(one[0], &byte, 1), 1);
    kicker_rearm(kicker, 0);
    close(one[1]);
    expect(kicker, KICKER_WATCH(0));

    /* Not watched any more; the number can be used again. */
    kicker_rearm(kicker, 0);
    expect(kicker, KICKER_WATCH(0));
    kicker_unwatch(kicker, 0);
    kicker_unwatch(kicker, 0);
    kicker_rearm(kicker, 0);
    expect_nothing(kicker);
    assert_int_equal(kicker_watch(kicker, 0, one[0], &error), 0);
    expect(kicker, KICKER_WATCH(0));
    stop(kicker, &kicked);
    close(one[0]);
    close(two[0]);
    close(two[1]);
}

static void watches_what_it_can(void **unused)
{
    (void)unused;
    struct kicked kicked;
    struct kicker *kicker = start(&kicked);
    struct error error = {0};
    int inner = epoll_create1(0), ends[2];
    int null = open("/dev/null", O_RDONLY), file = open("/proc/self/exe", O_RDONLY);

    assert_int_equal(kicker_watch(kicker, 0, null, &error), KICKER_ALWAYS);
    assert_int_equal(kicker_watch(kicker, 0, file, &error), KICKER_ALWAYS);
    kicker_rearm(kicker, 0);
    assert_int_equal(kicker_watch(kicker, 0, -1, &error), -1);
    assert_int_equal(error.kind, ERROR_HOST);

    /* An epoll instance is readable when something in it is: how the console's sockets are watched. */
    assert_int_equal(pipe(ends), 0);
    struct epoll_event event = {.events = EPOLLIN};
    assert_int_equal(kicker_watch(kicker, 0, inner, &error), 0);
    assert_int_equal(epoll_ctl(inner, EPOLL_CTL_ADD, ends[0], &event), 0);
    expect_nothing(kicker);
    assert_int_equal(write(ends[1], "x", 1), 1);
    expect(kicker, KICKER_WATCH(0));
    kicker_rearm(kicker, 0);
    expect(kicker, KICKER_WATCH(0));
    stop(kicker, &kicked);
    close(inner);
    close(null);
    close(file);
    close(ends[0]);
    close(ends[1]);
}

/* Each write to their descriptor is an event, though nobody reads it here. */
static void takes_signals(void **unused)
{
    (void)unused;
    struct kicked kicked;
    int signals = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct kicker *kicker = start_with(&kicked, signals);

    for (unsigned i = 0; i < 3; i++) {
        expect_nothing(kicker);
        assert_int_equal(eventfd_write(signals, 1), 0);
        expect(kicker, KICKER_SIGNAL);
    }
    stop(kicker, &kicked);
    close(signals);
}

static void kicks_who_is_not_waiting(void **unused)
{
    (void)unused;
    struct kicked kicked;
    struct kicker *kicker = start(&kicked);

    for (unsigned i = 0; i < 100; i++) {
        kicker_alarm(kicker, i % 2);
        assert_int_equal(sem_wait(&kicked.kicks), 0);
        assert_int_equal(kicker_take(kicker), KICKER_ALARM);
    }
    assert_false(kicked.bare);
    kicker_alarm(kicker, 1);
    assert_int_equal(sem_wait(&kicked.kicks), 0);
    kicker_wait(kicker); /* returns at once: nothing was taken */
    assert_int_equal(kicker_take(kicker), KICKER_ALARM);
    stop(kicker, &kicked);
}

struct partner {
    int requests; /* reads one byte from here, */
    int answers;  /* writes one byte here; until the end of the requests */
};

static void *answer(void *argument)
{
    struct partner *partner = argument;
    char byte;

    while (read(partner->requests, &byte, 1) == 1) {
        if (write(partner->answers, &byte, 1) != 1)
            return NULL;
    }
    return NULL;
}

/* Waits for an event in one of the ways the recorder does: asleep, in the guest until kicked, or looking at times. */
static void wait_somehow(struct kicker *kicker, struct kicked *kicked, unsigned way)
{
    if (way == 0)
        kicker_wait(kicker);
    while (kicker_events(kicker) == 0) {
        if (way == 1)
            sem_wait(&kicked->kicks);
    }
}

/* Bytes come from another thread, alarms from the timer, at every moment relative to the wait. */
static void loses_no_wake_up(void **unused)
{
    (void)unused;
    struct kicked kicked;
    struct kicker *kicker = start(&kicked);
    struct dice dice = {.seed = 4711};
    struct error error;
    int requests[2], answers[2];
    pthread_t thread;

    assert_int_equal(pipe(requests), 0);
    assert_int_equal(pipe2(answers, O_NONBLOCK), 0);
    struct partner partner = {.requests = requests[0], .answers = answers[1]};
    assert_int_equal(kicker_watch(kicker, 2, answers[0], &error), 0);
    assert_int_equal(pthread_create(&thread, NULL, answer, &partner), 0);
    for (unsigned round = 0; round < 6000; round++) {
        unsigned way = dice_below(&dice, 8) == 0 ? 2 : dice_below(&dice, 2);
        uint32_t wanted = KICKER_WATCH(2), seen = 0;
        char byte;
        if (dice_below(&dice, 2)) {
            kicker_alarm(kicker, host_clock_now() + dice_below(&dice, 50000));
            wanted |= KICKER_ALARM;
        }
        assert_int_equal(write(requests[1], "x", 1), 1);
        while (seen != wanted) {
            wait_somehow(kicker, &kicked, way);
            seen |= kicker_take(kicker);
            assert_int_equal(seen & ~wanted, 0);
        }
        assert_int_equal(read(answers[0], &byte, 1), 1);
        assert_int_equal(read(answers[0], &byte, 1), -1);
        kicker_rearm(kicker, 2);
    }
    close(requests[1]);
    pthread_join(thread, NULL);
    stop(kicker, &kicked);
    close(requests[0]);
    close(answers[0]);
    close(answers[1]);
}

/* It stops at every moment, with events under way. */
static void stops_at_once(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 300; i++) {
        struct kicked kicked;
        struct kicker *kicker = start(&kicked);
        kicker_alarm(kicker, host_clock_now() + i * 200);
        stop(kicker, &kicked);
    }
    kicker_stop(NULL);
}

/* Each of its four descriptors may be the one too many. */
static void fails_without_descriptors(void **unused)
{
    (void)unused;
    struct rlimit before;
    struct kicked kicked;
    int lowest = dup(0);

    assert_true(lowest >= 0);
    close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (unsigned allowed = 0; allowed < 3; allowed++) {
        struct rlimit tight = {.rlim_cur = (rlim_t)lowest + allowed, .rlim_max = before.rlim_max};
        struct error error = {0};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
        struct kicker *kicker = kicker_start(on_kick, &kicked, -1, &error);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_null(kicker);
        assert_int_equal(error.kind, ERROR_HOST);
        int now = dup(0);
        assert_int_equal(now, lowest);
        close(now);
    }
    stop(start(&kicked), &kicked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alarms),
        cmocka_unit_test(alarm_is_taken_back),
        cmocka_unit_test(alarm_outlives_a_wait),
        cmocka_unit_test(alarm_is_moved_while_it_goes_off),
        cmocka_unit_test(watches),
        cmocka_unit_test(watches_what_it_can),
        cmocka_unit_test(takes_signals),
        cmocka_unit_test(kicks_who_is_not_waiting),
        cmocka_unit_test(loses_no_wake_up),
        cmocka_unit_test(stops_at_once),
        cmocka_unit_test(fails_without_descriptors),
    };

    alarm(PATIENCE / 1000);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
