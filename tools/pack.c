/* See pack.h. */
#include "tools/pack.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/output.h"
#include "logs/bundle_writer.h"
#include "tools/find_files.h"
#include "tools/progress.h"

#define PIECE (1u << 20)

_Static_assert(BUNDLE_MODULES == BOOT_MODULES && BUNDLE_DISKS == MACHINE_DISKS, "a bundle holds any machine's files");

/* What is packed; all of it is found before the output is opened. */
struct packing {
    const struct pack_options *options;
    struct description description;
    struct file_finder finder;
    struct log_source log;
    bool has_log;
    uint8_t *image, *modules[BOOT_MODULES];
    size_t image_length;
    struct disk_file *disks[MACHINE_DISKS];
    struct output *output;
    struct bundle_writer *writer;
};

static int read_description(struct packing *packing, struct files *files, struct error *error)
{
    const struct pack_options *options = packing->options;
    struct log_reader *reader = log_reader_open(files, options->log, false, error);
    int result = -1;

    if (!reader)
        return -1;
    const struct log_header *header = log_reader_header(reader);
    if (options->id && memcmp(options->id->bytes, header->id.bytes, sizeof header->id.bytes) != 0)
        error_set(error, ERROR_INPUT, "%s: another recording has taken its place", options->log);
    else if (description_from_json(header->machine, strlen(header->machine), &packing->description, error) < 0)
        error_wrap(error, "%s", options->log);
    else
        result = 0;
    log_reader_close(reader);
    return result;
}

static int find_bytes(struct packing *packing, struct error *error)
{
    struct description *d = &packing->description;

    if (find_image(&packing->finder, d, &packing->image, &packing->image_length, error) < 0)
        return -1;
    for (unsigned i = 0; i < d->module_count; i++) {
        if (find_module(&packing->finder, d, i, &packing->modules[i], error) < 0)
            return -1;
    }
    return 0;
}

static void forget_bytes(struct packing *packing)
{
    free(packing->image);
    packing->image = NULL;
    for (unsigned i = 0; i < BOOT_MODULES; i++) {
        free(packing->modules[i]);
        packing->modules[i] = NULL;
    }
}

/* A log that begins with a checkpoint needs image and modules only if the guest resets its machine; so does a backup's,
 * and a backup need not have had them. */
static int find_all(struct packing *packing, struct files *files, struct error *error)
{
    const struct pack_options *options = packing->options;
    struct description *d = &packing->description;

    if (file_places_check(&options->places, d, error) < 0 ||
        file_finder_open(&packing->finder, files, &options->places, options->log, NULL, error) < 0)
        return -1;
    if (find_bytes(packing, error) < 0) {
        if (!d->from_checkpoint || file_places_image_given(&options->places))
            return -1;
        forget_bytes(packing);
        error->kind = ERROR_NONE;
        fprintf(stderr, "encore: the bundle is without the guest's image and modules, which are needed only if the "
                        "guest resets its machine: they are not to be found\n");
    }
    for (unsigned i = 0; i < d->disk_count; i++) {
        packing->disks[i] = find_disk(&packing->finder, d, i, error);
        if (!packing->disks[i])
            return -1;
    }
    packing->has_log = log_source_open(files, options->log, &packing->log, error) == 0;
    return packing->has_log ? 0 : -1;
}

static int sink_write(void *context, const void *bytes, size_t length, struct error *error)
{
    return output_write(context, bytes, length, error);
}

/* As much of the log as there is now. */
static int add_log(struct packing *packing, struct error *error)
{
    uint8_t *piece = malloc(PIECE);
    size_t got = PIECE;
    int result = piece ? bundle_writer_begin(packing->writer, BUNDLE_LOG, 0, DIGEST_SPARSE, error)
                       : error_set(error, ERROR_HOST, "out of memory");

    for (uint64_t offset = 0; result == 0 && got == PIECE; offset += got) {
        result = packing->log.read(packing->log.context, offset, piece, PIECE, &got, error);
        if (result == 0)
            result = bundle_writer_add(packing->writer, piece, got, error);
    }
    free(piece);
    return result == 0 ? bundle_writer_end(packing->writer, NULL, error) : -1;
}

static int add_bytes(struct packing *packing, enum bundle_kind kind, unsigned number, const uint8_t *bytes,
                     size_t length, struct error *error)
{
    if (bundle_writer_begin(packing->writer, kind, number, DIGEST_WHOLE, error) < 0 ||
        bundle_writer_add(packing->writer, bytes, length, error) < 0)
        return -1;
    return bundle_writer_end(packing->writer, NULL, error);
}

struct adding {
    struct bundle_writer *writer;
    struct bytes_progress progress;
};

static int add_piece(void *context, const uint8_t *bytes, uint64_t length, struct error *error)
{
    struct adding *adding = context;

    progress_bytes(&adding->progress, length);
    return bytes ? bundle_writer_add(adding->writer, bytes, (size_t)length, error)
                 : bundle_writer_add_zeros(adding->writer, length, error);
}

static int add_disk(struct packing *packing, unsigned number, struct error *error)
{
    const struct description_disk *disk = &packing->description.disks[number];
    struct disk_file *file = packing->disks[number];
    struct adding adding = {.writer = packing->writer,
                            .progress = {.what = "packing", .name = disk_file_path(file), .total = disk->size}};
    struct digest digest;

    int result = bundle_writer_begin(packing->writer, BUNDLE_DISK, number, disk->digest_kind, error);
    if (result == 0)
        result = disk_file_walk(file, add_piece, &adding, error);
    progress_bytes_wipe(&adding.progress);
    if (result < 0 || bundle_writer_end(packing->writer, &digest, error) < 0)
        return -1;
    if (!digest_equal(digest, disk->digest))
        return error_set(error, ERROR_INPUT, "%s changed while it was packed", disk_file_path(file));
    return 0;
}

static int write_members(struct packing *packing, struct error *error)
{
    const struct description *d = &packing->description;

    if (add_log(packing, error) < 0)
        return -1;
    if (packing->image && add_bytes(packing, BUNDLE_IMAGE, 0, packing->image, packing->image_length, error) < 0)
        return -1;
    for (unsigned i = 0; packing->image && i < d->module_count; i++) {
        if (add_bytes(packing, BUNDLE_MODULE, i, packing->modules[i], (size_t)d->modules[i].size, error) < 0)
            return -1;
    }
    for (unsigned i = 0; i < d->disk_count; i++) {
        if (add_disk(packing, i, error) < 0)
            return -1;
    }
    return bundle_writer_finish(packing->writer, error);
}

static int write_bundle(struct packing *packing, struct files *files, struct error *error)
{
    const struct output_options how = {.replace = packing->options->replace, .mode = 0600};

    packing->output = output_open(files, packing->options->output, &how, error);
    if (!packing->output)
        return -1;
    const struct log_sink sink = {.write = sink_write, .context = packing->output};
    packing->writer = bundle_writer_create(&sink, error);
    if (!packing->writer || write_members(packing, error) < 0)
        return -1;
    return output_publish(packing->output, error);
}

static void release(struct packing *packing)
{
    struct error ignored;

    bundle_writer_free(packing->writer);
    output_close(packing->output, &ignored);
    if (packing->has_log)
        packing->log.close(packing->log.context);
    forget_bytes(packing);
    for (unsigned i = 0; i < MACHINE_DISKS; i++)
        disk_file_close(packing->disks[i]);
    file_finder_close(&packing->finder);
    free(packing);
}

int pack(struct files *files, const struct pack_options *options, struct error *error)
{
    struct packing *packing = calloc(1, sizeof *packing);

    if (!packing)
        return error_set(error, ERROR_HOST, "out of memory");
    packing->options = options;
    int result = -1;
    if (read_description(packing, files, error) == 0 && find_all(packing, files, error) == 0)
        result = write_bundle(packing, files, error);
    release(packing);
    return result;
}
