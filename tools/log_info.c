/* encore log info: what was recorded, how much of it there is, and how it ended. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "logs/bundle.h"
#include "logs/frame.h"
#include "replay/description.h"
#include "tools/commands.h"
#include "tools/log_commands.h"
#include "tools/log_support.h"

static void print_id(const struct log_id *id)
{
    for (size_t i = 0; i < sizeof id->bytes; i++)
        printf("%02x", id->bytes[i]);
}

static void print_machine(const struct description *d)
{
    char digest[DIGEST_TEXT], date[32];
    time_t start = (time_t)d->rtc_start;
    struct tm utc;

    printf("image        ");
    text_print(d->image, stdout);
    printf("\n             %" PRIu64 " bytes, hash %s, booted as %s\n", d->image_size,
           digest_text(d->image_digest, digest), boot_protocol_name(d->protocol));
    if (*d->cmdline) {
        printf("cmdline      ");
        text_print(d->cmdline, stdout);
        putchar('\n');
    }
    printf("memory       %" PRIu64 " KiB\n", d->ram_size / 1024);
    printf("engine       ");
    text_print(d->engine, stdout);
    printf(", ticks: ");
    text_print(d->tick_unit, stdout);
    printf("\nclock        ");
    text_print(d->clock, stdout);
    if (gmtime_r(&start, &utc) && strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &utc))
        printf(", from %s UTC", date);
    putchar('\n');
}

static void print_size(const struct log_summary *summary)
{
    printf("frames       %" PRIu64 ": %" PRIu64 " of records, %" PRIu64 " of checkpoint data, %" PRIu64 " of index\n",
           summary->frames[0], summary->frames[FRAME_RECORDS], summary->frames[FRAME_CHECKPOINT_DATA],
           summary->frames[FRAME_INDEX]);
    printf("records      %" PRIu64 "\n", summary->records[0]);
    printf("checkpoints  %" PRIu64 "\n", summary->records[LOG_CHECKPOINT]);
    printf("size         %" PRIu64 " bytes", summary->file_bytes);
    if (summary->stored_bytes)
        printf(", compressed from %" PRIu64 " (ratio %.1f)", summary->raw_bytes,
               (double)summary->raw_bytes / (double)summary->stored_bytes);
    putchar('\n');
}

static void print_end(const struct log_summary *summary)
{
    char text[DIGEST_TEXT], at[POSITION_TEXT];
    const struct log_record *end = &summary->end;
    const char *reason = record_reason_name(end->reason);

    printf("guest time   ");
    log_print_time(summary->time_last, stdout);
    if (!summary->ended) {
        printf("\nend          none: the log breaks off\n");
        return;
    }
    printf("\nend          %s", reason ? reason : "unknown reason");
    if (end->reason == LOG_END_DEBUG_EXIT)
        printf(", exit value %" PRIu32, end->exit_value);
    printf(", %s%s\n", end->unnamed ? "after " : "at ", position_text(&end->at, at));
    printf("digest       %s\n", digest_text(end->digest, text));
}

/* The header is read apart from the walk, so that a log whose machine is described in a way that this encore does not
 * know still gets its frames and records told. */
static int print_header(const char *path, struct error *error)
{
    struct log_reader *reader = log_reader_open(NULL, path, false, error);
    struct description *description;

    if (!reader)
        return -1;
    const struct log_header *header = log_reader_header(reader);
    description = command_memory(sizeof *description);
    int result = description_from_json(header->machine, strlen(header->machine), description, error);
    printf("log          ");
    text_print(path, stdout);
    printf("\nformat       %d, id ", LOG_FORMAT_VERSION);
    print_id(&header->id);
    putchar('\n');
    if (result == 0)
        print_machine(description);
    else
        error_wrap(error, "%s", path);
    free(description);
    log_reader_close(reader);
    return result;
}

/* What a bundle holds besides the log. */
static void print_bundle(const char *path)
{
    static const char *const names[] = {
        [BUNDLE_LOG] = "log", [BUNDLE_IMAGE] = "image", [BUNDLE_MODULE] = "module", [BUNDLE_DISK] = "disk"};
    struct error ignored;
    struct bundle *bundle = bundle_open_file(NULL, path, &ignored);
    const struct bundle_member *member;

    for (unsigned i = 0; bundle && (member = bundle_member(bundle, i)); i++) {
        printf("%s%s", i ? ", " : "bundle       ", names[member->kind]);
        if (member->kind >= BUNDLE_MODULE)
            printf(" %u", member->number);
        printf(" of %" PRIu64 " bytes", member->size);
    }
    if (bundle)
        putchar('\n');
    bundle_close(bundle);
}

int command_log_info(int argc, char **argv)
{
    const struct log_argument argument =
        log_parse_alone("log info",
                        "Tells what a log holds: the machine, the amount, and how the run ended.\v"
                        "Of a log that breaks off or is damaged, what is readable is told, then the "
                        "damage on standard error; the exit code is then 4.",
                        argc, argv);
    struct log_summary summary;
    struct error error = {0}, damage = {0};

    if (log_verify(argument.path, &summary, &error) < 0)
        return command_fails("log info", &error);
    if (print_header(argument.path, &error) < 0 && error.kind == ERROR_HOST)
        return command_fails("log info", &error);
    print_bundle(argument.path);
    print_size(&summary);
    print_end(&summary);
    if (!log_is_whole(&summary, &damage))
        error = damage;
    return log_finish("log info", &argument, &error);
}
