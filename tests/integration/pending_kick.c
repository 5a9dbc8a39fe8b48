/*
 * A replay whose engine let the guest run too far makes a second, careful engine in the same thread. A kick meant for
 * the first one may still be pending then: the landing timer may expire, or the kicker may fire, just after the guest
 * was left for another reason. It must not disturb the second one, whose probe would find fault with a sound host.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "vmm/kvm/kvm_engine.h"
#include "vmm/kvm/kvm_internal.h"

#define NAME "engine: a kick that was left over does not disturb the next engine's probe"

int main(void)
{
    const struct kvm_engine_options options = {0};
    struct error error = {0};

    if (access("/dev/kvm", R_OK | W_OK)) {
        printf("skip - %s: /dev/kvm is missing or may not be opened\n", NAME);
        return 0;
    }
    struct engine *first = kvm_engine_create(&options, &error);
    if (!first) {
        printf("not ok - %s\n    %s\n", NAME, error.text);
        return 1;
    }
    bool ticks = first->caps.ticks, landmarks = first->caps.landmarks;
    engine_destroy(first);
    pthread_kill(pthread_self(), KVM_KICK_SIGNAL); /* blocked outside of KVM_RUN since the first engine: it waits */
    struct engine *second = kvm_engine_create(&options, &error);
    if (!second) {
        printf("not ok - %s\n    %s\n", NAME, error.text);
        return 1;
    }
    bool same = second->caps.ticks == ticks && second->caps.landmarks == landmarks;
    printf("%s - %s\n", same ? "ok" : "not ok", NAME);
    if (!same)
        printf("    the first had ticks %d, landmarks %d; the second has %d, %d\n", ticks, landmarks,
               second->caps.ticks, second->caps.landmarks);
    engine_destroy(second);
    return !same;
}
