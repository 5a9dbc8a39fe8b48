/* encore log verify: is this log whole, and if not, how far is it good? */
#include <inttypes.h>

#include "base/text.h"
#include "logs/bundle.h"
#include "tools/log_commands.h"
#include "tools/log_support.h"

static void print_whole(const char *path, const struct log_summary *summary)
{
    const char *reason = record_reason_name(summary->end.reason);

    text_print(path, stdout);
    printf(": whole: %" PRIu64 " records, %" PRIu64 " checkpoints, %" PRIu64 " frames; ends with ", summary->records[0],
           summary->records[LOG_CHECKPOINT], summary->frames[0]);
    if (reason)
        printf("%s\n", reason);
    else
        printf("reason %u\n", summary->end.reason);
}

/* What is in a bundle besides the log. */
static int verify_bundle(const char *path, struct error *error)
{
    struct bundle *bundle = bundle_open_file(NULL, path, error);
    const struct bundle_member *member;
    int result = bundle || error->kind == ERROR_NONE ? 0 : -1;

    for (unsigned i = 0; result == 0 && bundle && (member = bundle_member(bundle, i)); i++) {
        result = bundle_verify(bundle, member, error);
        if (result < 0) {
            error_wrap(error, "%s", path);
            error->kind = error->kind == ERROR_INPUT ? ERROR_DAMAGED : error->kind;
        }
    }
    bundle_close(bundle);
    return result;
}

int command_log_verify(int argc, char **argv)
{
    const struct log_argument argument = log_parse_alone(
        "log verify",
        "Checks all of a log: each frame's checksum and place, each record, the checkpoints' data, the index.\v"
        "Exit code: 0 when the log is whole; 4, with one sentence that tells where it stops and what is readable "
        "before that, when it breaks off or is damaged (--partial: 0 when it only breaks off); 2 when it is no log. "
        "That the recorded run can be repeated is for encore replay --verify to say.",
        argc, argv);
    struct log_summary summary;
    struct error error = {0};

    if (log_verify(argument.path, &summary, &error) < 0)
        return command_fails("log verify", &error);
    if (log_is_whole(&summary, &error) && verify_bundle(argument.path, &error) == 0)
        print_whole(argument.path, &summary);
    return log_finish("log verify", &argument, &error);
}
