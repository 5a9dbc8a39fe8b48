/* From the boot protocol's entry to guest_main; see runtime.h. */
#include "guests/runtime/runtime.h"

#include "guests/runtime/console.h"
#include "guests/runtime/descriptors.h"
#include "guests/runtime/exit.h"
#include "guests/runtime/interrupts.h"
#include "guests/runtime/options.h"

void runtime_start(const struct boot_info *info)
{
    if (info->magic != BOOT_INFO_MAGIC || info->version != BOOT_INFO_VERSION)
        guest_exit(EXIT_NO_INFO);
    descriptors_start();
    console_start();
    interrupts_start();
    options_start((const char *)info->cmdline_address);
    guest_exit(guest_main(info));
}
