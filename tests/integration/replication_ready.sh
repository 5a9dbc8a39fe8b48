#!/bin/bash
# What a takeover would need and this side does not have is refused when the backup joins, on both sides in one sentence;
# the primary goes on, and another backup can join (tests/tools/replication.sh). CASES='...' runs only these.
# (tests/run: alone)
. tests/lib.sh
. tests/tools/replication.sh

# refused TEXT [OPTION of the backup...]: B is refused for this reason, and C, which is fit, joins. `fit` is what C needs.
refused() {
    start_backup B A "${@:2}"
    expect_end B 2 "this backup could not take over: .*$1"
    expect_words A "the backup cannot follow: .*$1"
    # shellcheck disable=SC2086
    start_backup C A $fit
    expect_words C 'ready to take over'
    if [ "$(field A joins)" -le 3 ] && [ "$(field A state)" = primary ]; then
        ok "replication: $case_name: the primary goes on, and takes another backup"
    else
        not_ok "replication: $case_name: the primary goes on, and takes another backup" "$(cat "$case"/A.err)"
    fi
    kill_all
}

if new_case no-net; then
    start_primary A --net user
    fit='--net user'
    refused 'the guest has 1 network card, and 0 are given here'
fi

if new_case net-too-many; then
    start_primary A --net user
    fit='--net none'
    refused 'the guest has 1 network card, and 2 are given here' --net user --net user
fi

if new_case net-nobody-there; then
    start_primary A --net user
    fit='--net user'
    refused "network socket $case/nobody" --net "unix:$case/nobody"
fi

if new_case tap-taken; then
    tap=enc$$
    start_primary A --net tap:$tap
    fit='--net none'
    if await_words A 'network tap\|engine'; then
        says A 'network tap' && skip "replication: $case_name" "no right to make a tap"
    fi
    if [ "$(field A state)" = alone ]; then
        refused "network tap:$tap: somebody else has this interface open" --net tap:$tap
    else
        skip "replication: $case_name" "no right to make a tap"
    fi
    kill_all
fi

if new_case disk-missing; then
    seq 100000 | head -c 65536 >"$case/image"
    start_primary A --disk "$case/image"
    cp "$case/image" "$case/copy"
    fit="--disk 0=$case/copy"
    refused "disk 0: .*$case/nowhere" --disk "0=$case/nowhere"
fi

if new_case disk-wrong; then
    seq 100000 | head -c 65536 >"$case/image"
    start_primary A --disk "$case/image"
    tac "$case/image" | head -c 65536 >"$case/other"
    fit=
    refused "disk 0: .*$case/other is not the image that was recorded" --disk "0=$case/other"
fi

if new_case other-engine; then # KVM's ticks mean nothing to the soft engine
    if need_kvm "replication: $case_name"; then
        ENGINE=kvm
        start_primary A
        await_state A alone
        fit=
        if grep -q kvm-insn <("$ENCORE" doctor 2>&1); then
            refused 'its engine (soft) cannot land on the places that the primary names (kvm-insn-emulation' --engine soft
        else
            skip "replication: $case_name" "KVM has no ticks here"
        fi
        kill_all
    fi
fi
finish
