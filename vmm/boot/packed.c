/* Files that are no guest images because they are compressed: what a user who downloaded one has to do. */
#include <string.h>

#include "vmm/boot/loader.h"

static const struct packed_format {
    const char *magic;
    size_t length;
    const char *words, *command;
} formats[] = {
    {"\x1f\x8b\x08", 3, "is compressed by gzip", "gzip -dc"},
    {"\xfd\x37zXZ\0", 6, "is compressed by xz", "xz -dc"},
    {"\x28\xb5\x2f\xfd", 4, "is compressed by zstd", "zstd -dc"},
    {"BZh", 3, "is compressed by bzip2", "bzip2 -dc"},
    {"\x04\x22\x4d\x18", 4, "is compressed by lz4", "lz4 -dc"},
    {"\x02\x21\x4c\x18", 4, "is compressed by lz4", "lz4 -dc"}, /* "legacy", as Linux has it */
    {"\x5d\0\0", 3, "is compressed by lzma", "xz -dc"},
    {"\x89LZO\0", 5, "is compressed by lzop", "lzop -dc"},
    {"PK\3\4", 4, "is a zip archive", "unzip -p"},
};

bool loader_is_packed(struct loader *loader)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        const struct packed_format *format = &formats[i];
        if (loader->length >= format->length && memcmp(loader->image, format->magic, format->length) == 0) {
            loader_fail(loader, "%s; unpack it first: %s FILE >IMAGE", format->words, format->command);
            return true;
        }
    }
    return false;
}
