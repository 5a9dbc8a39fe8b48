#!/bin/bash
# The one door (docs/architecture.md): nothing in the deterministic machine reads a clock, a random source, a file, a
# socket, a thread or the environment, and includes point downwards only.
#
# Usage: one_door.sh ROOT       checks the sources below ROOT, and what was built of them in BUILD (ROOT/build)
#        one_door.sh --self-test   shows that each rule catches what it is for
set -u -o pipefail

# What may not be called in vmm/ outside vmm/host and vmm/kvm.
calls='time|times|clock|clock_[a-z]+|gettimeofday|settimeofday|ftime|localtime(_r)?|mktime|strftime'
calls+='|sleep|usleep|nanosleep|alarm|setitimer|timer_[a-z]+|timerfd_[a-z]+'
calls+='|rand|rand_r|srand|random|srandom|[dejlmn]rand48|getrandom|getentropy|arc4random[a-z_]*'
calls+='|open|openat|creat|close|fopen|fdopen|freopen|fclose|fread|fgets|fscanf|opendir|stat|fstat|lstat|unlink|rename'
calls+='|read|readv|pread|preadv|write|writev|pwrite|pwritev|lseek|ioctl|fcntl|dup2?|pipe2?|eventfd|signalfd|epoll_[a-z_]+'
calls+='|select|pselect|poll|ppoll|socket|socketpair|connect|bind|listen|accept4?|send|sendto|sendmsg|recv|recvfrom|recvmsg'
calls+='|pthread_[a-z_]+|thread_start|thrd_[a-z]+|mtx_[a-z]+|fork|vfork|clone|exec[lv][pe]*|wait|waitpid|system|popen|kill|raise'
calls+='|signal|sigaction|sigprocmask|syscall|getenv|secure_getenv|setenv|getpid|gettid|getuid|uname|gethostname|sysconf'
calls+='|printf|vprintf|puts|putchar|perror|scanf|getchar|gets|dlopen|getauxval|setlocale|exit|_exit'
calls+='|_?_?rdtscp?|_rd(rand|seed)[0-9]+_step|__builtin_ia32_(rdtsc|rdrand|rdseed)[a-z0-9_]*'
# And what may not be named there.
names='stdin|stdout|stderr|environ|errno|__TIME__|__DATE__|__TIMESTAMP__|_Thread_local|__thread'
# Nor may there be a way around all this. The soft engine does some arithmetic with the host's own instructions: those
# files may have assembly, but none that asks the host for anything but a result.
assembly='asm|__asm__|__asm'
arithmetic_files='/vmm/soft/(exec_x87|vector_[a-z]+)\.c$'
host_instructions='rdtscp?|rdpmc|rdrand|rdseed|rdpid|cpuid|syscall|sysenter|int|in[bwl]?|out[bwl]?|rdmsr|wrmsr|vmcall|vmmcall'

# Takes comments and literals out, and keeps the lines.
strip() {
    awk '
    {
        out = ""
        for (i = 1; i <= length($0); i++) {
            two = substr($0, i, 2); c = substr($0, i, 1)
            if (comment) { if (two == "*/") { comment = 0; i++; out = out " " } continue }
            if (quote != "") {
                if (c == "\\") i++
                else if (c == quote) { quote = ""; out = out c }
                continue
            }
            if (two == "/*") { comment = 1; i++; continue }
            if (two == "//") break
            if (c == "\"" && $0 !~ /^[ \t]*#[ \t]*include/ || c == "\x27") quote = c
            out = out c
        }
        quote = ""
        print out
    }' "$1"
}

# The machine: vmm/ without the rooms that are allowed to touch the host; and what decides in replication, which is pure
# too (docs/replication.md).
machine_files() {
    find "$1/vmm" -name '*.[ch]' ! -path '*/vmm/host/*' ! -path '*/vmm/kvm/*' 2>/dev/null | sort
    find "$1/replication" -name 'replica*.[ch]' -o -name 'message.[ch]' -o -name '*_gate.[ch]' -o -name 'precopy.[ch]' -o \
        -name 'console_*.[ch]' -o -name 'session.[ch]' 2>/dev/null | sort
}

# Names that a file gives to functions of its own, or to pointers to functions that it is handed.
own_names() {
    strip "$1" | grep -oP '^static [^=;(]*\b\K\w+(?=\()|\(\*\K\w+(?=\)\s*\()|\w+_fn\s*\*\K\w+' | sort -u | paste -sd '|'
}

# A member of a struct may have such a name (host.read, door->time): those are pointers to what was handed in.
check_calls() {
    local file own forbidden bad=0
    while read -r file; do
        own=$(own_names "$file")
        forbidden=$names
        [[ $file =~ $arithmetic_files ]] || forbidden+="|$assembly"
        if strip "$file" |
            grep -nP "(?<![\\w.>])(?!(?:${own:-$^})\\b)(?:$calls)\\s*\\(|(?<![\\w.>])(?:$forbidden)\\b" |
            sed "s|^|$file:|;s|\$|    <- not through the door|"; then bad=1; fi
        if [[ $file =~ $arithmetic_files ]] && host_assembly "$file"; then bad=1; fi
    done < <(machine_files "$1")
    return $bad
}

# Assembly is in literals, which strip takes out. An instruction there begins a literal, or follows a newline, semicolon
# or tab.
host_assembly() {
    grep -nP "(?:\"|;|\\\\n|\\\\t)\\s*(?:$host_instructions)\\b" "$1" |
        sed "s|^|$1:|;s|\$|    <- assembly that is not arithmetic|"
}

# Who may include from where: a file's path, then what its includes may begin with.
allowed_includes() {
    case $1 in
    base/*) echo 'base/' ;;
    logs/*) echo '(base|logs)/' ;;
    vmm/host/*) echo '(base|vmm/host)/' ;;
    vmm/kvm/*) echo '(base|vmm/kvm)/|vmm/[a-z0-9_]+\.h' ;;
    vmm/soft/*) echo '(base|vmm/soft)/|vmm/[a-z0-9_]+\.h' ;;
    vmm/*) echo '(base|vmm/devices|vmm/boot)/|vmm/[a-z0-9_]+\.h' ;;
    replay/*) echo '(base|logs|replay|vmm/host|vmm/devices|vmm/boot)/|vmm/[a-z0-9_]+\.h' ;;
    replication/*) echo '(base|logs|replay|replication|vmm/host|vmm/devices|vmm/boot)/|vmm/[a-z0-9_]+\.h' ;;
    guests/*) echo 'guests/|vmm/boot/boot_info\.h' ;;
    tools/*) echo '(base|logs|replay|replication|tools|vmm)/' ;;
    esac
}

check_includes() {
    local file allowed bad=0
    while read -r file; do
        allowed=$(allowed_includes "$file")
        [ -n "$allowed" ] || continue
        if strip "$1/$file" | grep -nP '^\s*#\s*include\s*"' | grep -vP "\"(?:$allowed)" |
            sed "s|^|$file:|;s|\$|    <- not downwards|"; then bad=1; fi
    done < <(cd "$1" && find base logs vmm replay replication tools guests -name '*.[ch]' 2>/dev/null | sort)
    return $bad
}

# The same question asked of the object files, which no macro can hide from: what the machine calls, and whether
# anything in the library is a variable that is there once for all. A handler of signals gets nothing but its number: what
# it needs to give the terminal back is the one exception (vmm/host/terminal.c).
check_objects() {
    local build=${BUILD:-$1/build} object bad=0
    local library=$build/libencore.a
    [ -e "$library" ] || return 0
    while read -r object; do
        if nm -u "$object" 2>/dev/null | grep -P "\\b(?:$calls|stdin|stdout|stderr|__errno_location)(@.*)?\$" |
            sed "s|^|$object: |"; then bad=1; fi
    done < <(find "$build/vmm" -name '*.o' ! -path '*/vmm/host/*' ! -path '*/vmm/kvm/*' 2>/dev/null)
    if objdump -t "$library" | grep -P ' O \.(data|bss|tdata|tbss|common)(?!\.rel\.ro)\S*\s' |
        grep -v ' raw_terminal$' | sed 's|$|    <- a variable outside of any struct|'; then bad=1; fi
    return $bad
}

# All files that are written come into being in base/output*.c, which knows what must not be written over. Two have rules
# of their own for that: an arbiter's files are never replaced, and a checkpoint's directory is new.
making='O_CREAT|O_TRUNC|O_TMPFILE|RENAME_[A-Z]+'
making_calls='creat|mk[a-z]*temps?|tmpfile|rename|renameat2?|link|linkat|symlink|symlinkat|truncate'
may_make='^(base/output[a-z_]*|replication/arbiter_file|tools/checkpoint_files)\.c$'
check_outputs() {
    local file bad=0
    while read -r file; do
        [[ $file =~ $may_make ]] && continue
        if { strip "$1/$file" | grep -nP "\b(?:$making)\b|(?<![\w.>])(?:$making_calls)\s*\(" ||
            grep -nP '\bf(?:re)?open\s*\(.*,\s*"[^"]*[wax+]' "$1/$file"; } |
            sed "s|^|$file:|;s|\$|    <- not by base/output.h|"; then bad=1; fi
    done < <(cd "$1" && find base logs vmm replay replication grading tools -name '*.[ch]' 2>/dev/null | sort)
    return $bad
}

check_all() {
    local bad=0
    check_calls "$1" || bad=1
    check_outputs "$1" || bad=1
    check_includes "$1" || bad=1
    check_objects "$1" || bad=1
    return $bad
}

# Writes one file into a fresh tree and expects `check_all` to answer as told: good or bad.
expect() { # good|bad FILE TEXT
    local tree answer=bad
    tree=$(mktemp -d)
    mkdir -p "$tree/$(dirname "$2")"
    printf '%s\n' "$3" >"$tree/$2"
    check_all "$tree" >/dev/null 2>&1 && answer=good
    rm -rf "$tree"
    [ "$answer" = "$1" ] && return
    echo "found $answer, should be $1: $2: $3"
    wrong=1
}

self_test() {
    wrong=0
    unset BUILD
    expect bad vmm/devices/a.c 'uint64_t f(void) { return (uint64_t)time(NULL); }'
    expect bad vmm/a.c '    clock_gettime(CLOCK_MONOTONIC, &now);'
    expect bad vmm/a.h 'static inline int f(void) { return rand (); }'
    expect bad vmm/boot/a.c '    FILE *f = fopen(path, "r");'
    expect bad vmm/a.c '    n = read(fd, p, 1);'
    expect bad replication/replica_a.c 'uint64_t f(void) { return (uint64_t)time(NULL); }'
    expect bad replication/output_gate.c '    n = send(fd, p, 1, 0);'
    expect bad vmm/a.c '    getrandom(p, 1, 0);'
    expect bad vmm/a.c '    pthread_create(&t, NULL, f, NULL);'
    expect bad vmm/a.c '    thread_start(&t, f, NULL, error);'
    expect bad vmm/a.c '    x = __rdtsc();'
    expect bad vmm/a.c '    __asm__ volatile("rdtsc");'
    expect bad vmm/soft/run.c '    __asm__ volatile("fldpi");'
    expect bad vmm/soft/vector_float.c '    x = time(NULL);'
    expect bad vmm/soft/vector_float.c '    __asm__ volatile("rdtsc" : "=a"(x));'
    expect bad vmm/soft/exec_x87.c '    __asm__ volatile("fldpi\n\trdrand %0" : "=r"(x));'
    expect bad vmm/a.c '    printf("here");'
    expect bad vmm/a.c '    fprintf(stderr, "here");'
    expect bad vmm/a.c '    x = 1; /* a comment */ x = getenv("X");'
    expect bad tools/a.c '    int fd = open(path, O_WRONLY | O_CREAT, 0666);'
    expect bad logs/a.c '    FILE *file = fopen(path, "we");'
    expect bad tools/a.c '    FILE *file = fopen(name(path, 1), "r+");'
    expect bad replication/a.c '    return rename(from, to);'
    expect bad vmm/host/a.c '    fd = mkostemp(path, O_CLOEXEC);'
    expect bad vmm/a.c '#include "replay/recorder.h"'
    expect bad vmm/a.c '#include "vmm/host/clock.h"'
    expect bad vmm/devices/a.c '#include "vmm/kvm/kvm_engine.h"'
    expect bad vmm/devices/a.c '#include "vmm/soft/soft_engine.h"'
    expect bad vmm/soft/a.c '#include "vmm/kvm/kvm_engine.h"'
    expect bad vmm/soft/a.c '#include "vmm/host/clock.h"'
    expect bad vmm/soft/a.c '#include "vmm/devices/i8259.h"'
    expect bad vmm/kvm/a.c '#include "vmm/soft/soft.h"'
    expect bad vmm/a.c '#include "logs/record.h"'
    expect bad logs/a.c '#include "vmm/machine.h"'
    expect bad base/a.c '#include "logs/record.h"'
    expect bad replay/a.c '#include "tools/commands.h"'
    expect bad replay/a.c '#include "replication/primary.h"'
    expect bad replay/a.c '#include "vmm/kvm/kvm_engine.h"'
    expect bad vmm/host/a.c '#include "vmm/machine.h"'
    expect good vmm/a.c '/* time(NULL) would be wrong here, and so would read(fd) */ // rand()'
    expect good vmm/a.c '    error_set(error, ERROR_INPUT, "open() and time() are for others");'
    expect good vmm/a.c '    x = engine->host.read(context) + door.time() + i8259_read(p) + runtime(x);'
    expect good vmm/a.c '    fprintf(stream, "rip");'
    expect good vmm/a.c 'static int poll(void) { return 1; } int f(void) { return poll(); }'
    expect good vmm/a.c 'int f(int (*read)(void)) { return read(); }'
    expect good vmm/host/a.c '    n = read(fd, p, 1);'
    expect good tools/a.c '    FILE *file = fopen(path, "re"); /* not with O_CREAT */'
    expect good tools/a.c '    fd = open(path, O_RDONLY); console->link(fd);'
    expect good base/output.c '    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);'
    expect good vmm/kvm/a.c '    ioctl(fd, KVM_RUN, 0);'
    expect good vmm/soft/exec_x87.c '    __asm__ volatile("fldpi\n\tfstpt %0" : "=m"(x));'
    expect good vmm/soft/vector_float.c '    __asm__ volatile("ldmxcsr %0" : : "m"(x));'
    expect good vmm/soft/a.c '#include "vmm/soft/soft.h"'
    expect good vmm/a.c '#include "vmm/devices/i8259.h"'
    expect good replay/a.c '#include "vmm/host/clock.h"'
    self_test_objects
    return $wrong
}

# A call behind a macro, and a variable that is there once for all, as the object files show them.
self_test_objects() {
    local tree text answer
    command -v gcc >/dev/null || return 0
    for text in 'bad:#include <time.h>@#define NOW(x) (ti##me)(x)@long f(void); long f(void) { return NOW(0); }' \
        'bad:int f(void); int f(void) { static int calls; return ++calls; }' \
        'good:const char *f(int); static const char *const n[] = {"a", "b"}; const char *f(int i) { return n[i]; }'; do
        tree=$(mktemp -d)
        mkdir -p "$tree/build/vmm"
        tr '@' '\n' <<<"${text#*:}" | gcc -fPIC -x c -c -o "$tree/build/vmm/a.o" - &&
            ar rcs "$tree/build/libencore.a" "$tree/build/vmm/a.o"
        answer=bad
        check_objects "$tree" >/dev/null && answer=good
        rm -rf "$tree"
        [ "$answer" = "${text%%:*}" ] || { echo "objects: found $answer: $text"; wrong=1; }
    done
}

if [ "${1-}" = --self-test ]; then
    self_test
else
    check_all "${1:-.}"
fi
