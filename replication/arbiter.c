/* See arbiter.h: the thread that asks. */
#include "replication/arbiter.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/thread.h"
#include "replication/arbiter_backend.h"

struct arbiter {
    struct arbiter_backend backend;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t asked;
    int answered_fd;
    /* Under the mutex. */
    enum { IDLE, ASKED, ANSWERED, CLOSING } state;
    struct arbiter_question question;
    uint64_t patience, epoch;
    enum replica_answer answer;
    char reason[ARBITER_REASON];
};

static void *arbiter_thread(void *argument)
{
    struct arbiter *arbiter = argument;
    uint64_t one = 1;

    pthread_mutex_lock(&arbiter->mutex);
    for (;;) {
        while (arbiter->state != ASKED && arbiter->state != CLOSING)
            pthread_cond_wait(&arbiter->asked, &arbiter->mutex);
        if (arbiter->state == CLOSING)
            break;
        char reason[ARBITER_REASON] = "";
        struct arbiter_question question = arbiter->question;
        uint64_t patience = arbiter->patience, epoch = 0;
        pthread_mutex_unlock(&arbiter->mutex);
        enum replica_answer answer =
            arbiter->backend.carry_out(arbiter->backend.context, &question, &epoch, patience, reason);
        pthread_mutex_lock(&arbiter->mutex);
        if (arbiter->state == CLOSING)
            break;
        arbiter->answer = answer;
        arbiter->epoch = epoch;
        memcpy(arbiter->reason, reason, sizeof reason);
        arbiter->state = ANSWERED;
        CHECK(write(arbiter->answered_fd, &one, sizeof one) == sizeof one);
    }
    pthread_mutex_unlock(&arbiter->mutex);
    return NULL;
}

int arbiter_backend_open(const char *specification, struct arbiter_backend *backend, struct error *error)
{
    if (strncmp(specification, "file:", 5) == 0)
        return arbiter_file_open(specification + 5, backend, error);
    if (strncmp(specification, "etcd:", 5) == 0)
        return arbiter_etcd_open(specification + 5, backend, error);
    return error_set(error, ERROR_INPUT, "%.200s is not an arbiter: file:PATH or etcd:URL,KEY is needed",
                     specification);
}

struct arbiter *arbiter_open(const char *specification, struct error *error)
{
    struct arbiter *arbiter = calloc(1, sizeof *arbiter);

    if (!arbiter) {
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    if (arbiter_backend_open(specification, &arbiter->backend, error) < 0) {
        free(arbiter);
        return NULL;
    }
    pthread_mutex_init(&arbiter->mutex, NULL);
    pthread_cond_init(&arbiter->asked, NULL);
    arbiter->answered_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (arbiter->answered_fd < 0 ? error_errno(error, "cannot create an eventfd")
                                 : thread_start(&arbiter->thread, arbiter_thread, arbiter, error)) {
        if (arbiter->answered_fd >= 0)
            close(arbiter->answered_fd);
        arbiter->backend.close(arbiter->backend.context);
        free(arbiter);
        return NULL;
    }
    return arbiter;
}

/* What is under way ends within its patience, or is waited for: a claim may not be half made when its maker is gone. */
void arbiter_close(struct arbiter *arbiter)
{
    if (!arbiter)
        return;
    pthread_mutex_lock(&arbiter->mutex);
    arbiter->state = CLOSING;
    pthread_cond_signal(&arbiter->asked);
    pthread_mutex_unlock(&arbiter->mutex);
    pthread_join(arbiter->thread, NULL);
    arbiter->backend.close(arbiter->backend.context);
    close(arbiter->answered_fd);
    pthread_cond_destroy(&arbiter->asked);
    pthread_mutex_destroy(&arbiter->mutex);
    free(arbiter);
}

bool arbiter_ask(struct arbiter *arbiter, const struct arbiter_question *question, uint64_t patience)
{
    pthread_mutex_lock(&arbiter->mutex);
    bool idle = arbiter->state == IDLE;
    if (idle) {
        arbiter->question = *question;
        arbiter->patience = patience;
        arbiter->state = ASKED;
        pthread_cond_signal(&arbiter->asked);
    }
    pthread_mutex_unlock(&arbiter->mutex);
    return idle;
}

int arbiter_poll_fd(const struct arbiter *arbiter)
{
    return arbiter->answered_fd;
}

bool arbiter_answer(struct arbiter *arbiter, enum replica_answer *answer, uint64_t *epoch, const char **reason)
{
    uint64_t count;

    pthread_mutex_lock(&arbiter->mutex);
    bool answered = arbiter->state == ANSWERED;
    if (answered) {
        CHECK(read(arbiter->answered_fd, &count, sizeof count) == sizeof count);
        *answer = arbiter->answer;
        *epoch = arbiter->epoch;
        *reason = arbiter->reason;
        arbiter->state = IDLE;
    }
    pthread_mutex_unlock(&arbiter->mutex);
    return answered;
}
