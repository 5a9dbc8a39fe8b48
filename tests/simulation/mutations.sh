# The mutations: each breaks one rule of the protocol (or, the last ones, of those around it), and names the check that
# must see it. Read by tests/integration/replication_mutations.sh.
primary=replication/replica_primary.c
backup=replication/replica_backup.c
flow=replication/replica_flow.c
arbiter=replication/replica_arbiter.c

# What has left.
mutate no-hold history $primary '    replica_act(replica, REPLICA_HOLD)->offset = replica->end;
    tell_member' '    tell_member'
mutate commit-what-was-written history $primary '!in_doubt(replica) && replica->peer_safe > replica->committed)
        commit(replica, replica->peer_safe);' '!in_doubt(replica) && replica->end > replica->committed)
        commit(replica, replica->end);'
mutate acknowledge-more-than-received history $backup 'ack->safe = replica->safe;' \
    'ack->offset = ack->safe = replica->received + 44;'
mutate gate-open history replication/output_gate.c 'uint64_t open = gate->marks.shown;' \
    'uint64_t open = gate->end;'
mutate confirm-what-came input-lost replication/console_server.c 'message.input = server->confirmed = confirmed;' \
    'message.input = server->confirmed = server->input;'

# Who may take over, and who goes on.
mutate member-before-its-time history $backup '|| replica->received < replica->member_at)' ')'
mutate alone-without-winning history $primary '    contend(replica);
}' '    primary_alone(replica);
}'
mutate does-not-ask-when-it-wakes-up awakening $primary 'if (replica->now - replica->sent_at <=' 'if (0 <='
mutate lets-out-while-it-asks awakening $primary 'has_member(replica) && !in_doubt(replica) &&' 'has_member(replica) &&'
mutate hears-what-is-old awakening replication/replica_patience.c ' &&
           replica->patience.echoed > replica->lost_at' ''
mutate loser-goes-on one-live $primary '            lose_epoch(replica);' '            { replica->epoch++; primary_alone(replica); }'
mutate loser-takes-over one-live $backup '} else if (answer == REPLICA_LOST) {' '} else if (false) {'
mutate unreachable-is-won one-live $backup 'if (answer == REPLICA_UNREACHABLE || ' \
    'if ((answer == REPLICA_UNREACHABLE && verifying) || '
mutate two-requests-at-a-time contract $arbiter '.asked = request->asked, .stale = request->asked};' \
    '.asked = false};'

# An arbiter that has lost its memory.
mutate forgotten-is-won one-live $backup '(answer == REPLICA_FORGOTTEN && !verifying)' 'false'
mutate claim-rests-on-nothing one-live $arbiter 'claim->owner = replica->state == REPLICA_STARTING ? 0 : owner(replica);' \
    'claim->owner = 0;'
mutate free-is-enough one-live replication/arbiter_records.c 'before == question->owner;' 'true;'
mutate doubt-takes-nothing-for-no awakening $primary 'else if (answer == REPLICA_LOST)
        end_doubt' 'else if (answer != REPLICA_UNREACHABLE)
        end_doubt'
mutate forgotten-is-not-asked-again liveness $arbiter 'replica->now < request->again_at' \
    'replica->now < request->again_at || replica->arbiter == REPLICA_ARBITER_FORGETFUL'

mutate two-members one-member $primary '    if (replica->state != REPLICA_ALONE)
        return replica_refuse' '    if (replica->state != REPLICA_ALONE && replica->state != REPLICA_PRIMARY)
        return replica_refuse'
mutate due-before-it-is contract replication/replica.c 'replica_suspects_at(replica) + 1;' \
    'replica_suspects_at(replica) - 1;'
mutate beats-of-nobody contract replication/replica.c 'replica->welcomed && replica->state != REPLICA_TAKING_OVER' \
    'replica->welcomed'
mutate old-welcome contract $backup 'welcome->epoch < replica->epoch ||' ''
mutate diverged-takes-over liveness $backup '} else if (replica->diverged) {' '} else if (false) {'

# The stream.
mutate deliver-twice stream $backup 'uint64_t known = replica->received - log->offset;' 'uint64_t known = 0;'
mutate deliver-after-a-gap stream $backup 'if (log->offset > replica->received)
        return notice_gap(replica);
    uint64_t known = replica->received - log->offset;' \
    'uint64_t known = log->offset > replica->received ? 0 : replica->received - log->offset;'
mutate send-from-elsewhere stream $flow '(replica->sent - replica->backlog.start);' \
    '(replica->sent - replica->backlog.start) / 2;'
mutate gap-not-noticed redundancy $backup '    if (replica->welcomed)
        say_hello(replica);' '    (void)replica;'

mutate joining-for-nothing redundancy $backup '        replica->welcomed = false;' '        ;'
mutate member-told-once redundancy $primary 'replica->now - replica->member_told_at >=' '0 >'

# Limits.
mutate no-window bounds $flow 'uint64_t under_way = replica->sent - replica->peer_safe;' 'uint64_t under_way = 0;'
mutate no-backlog-limit bounds replication/replica.c 'replica->config = *config;' 'replica->config = *config;
    replica->config.backlog_max = UINT64_MAX / 2;'
mutate lag-does-not-stop lag replication/replica_pace.c 'permille = 1000;' 'permille = 900;'
mutate lag-patience lag $primary 'replica->contend_for_good = true;
        lose_member(replica, "the backup is too slow");' ';'

# Going on.
mutate never-claim contract $backup 'claim(replica, "nothing is heard from the primary");' ';'
mutate never-contend contract $primary 'lose_member(replica, "nothing is heard from the backup");' ';'
mutate never-ask-again liveness $arbiter 'replica->now < request->again_at' \
    'replica->now < request->again_at || request->told'

# The console.
mutate output-twice client replication/console_client.c 'size_t known = client->output - message->output;' \
    'size_t known = 0;'
mutate input-left-out input-order replication/console_server.c '.input = input,' '.input = input + (input > 0),'
mutate welcome-confirms input-lost replication/console_client.c '    client->sent = welcome->input - client->input;' \
    '    forget_input(client, welcome->input);'
mutate input-not-sent-again liveness replication/console_client.c '    client->sent = welcome->input - client->input;' \
    '    client->sent = client->kept_length;'

# What is around a replica.
mutate checkpoint-without-output client tests/simulation/stream.c 'bytes_put_uint(&node->out, 8, unread);' \
    'bytes_put_uint(&node->out, 8, node->machine.announced + 0 * unread);'
mutate output-before-its-record history tests/simulation/stream.c '    if (!flush(world, node))
        return;
    let_out(node, from);' '    let_out(node, from);
    if (!flush(world, node))
        return;'
