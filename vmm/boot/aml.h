/*
 * Writing AML, the byte code of ACPI's definition blocks: ACPI specification 6.5, chapter 20. Just what a static
 * description of a machine needs: devices, names, integers, texts, packages, buffers of resources, and a method that
 * passes an event on.
 *
 * What has a length in front of it (scope, device, package, resources) is begun and ended; in between, what belongs
 * inside is written. At most AML_DEPTH deep.
 */
#ifndef ENCORE_VMM_BOOT_AML_H
#define ENCORE_VMM_BOOT_AML_H

#include <stdint.h>

#include "base/bytes.h"

#define AML_DEPTH 8

struct aml {
    struct bytes_writer *out; /* the caller's */
    size_t open[AML_DEPTH];   /* where the contents of what is open begin */
    unsigned depth;
};

/* Names are one segment of four characters, or a root path "\\XXXX". */
void aml_scope(struct aml *aml, const char *name);
void aml_device(struct aml *aml, const char *name);
void aml_package(struct aml *aml, unsigned elements);
/* Ends the innermost of the above. */
void aml_end(struct aml *aml);

/* Name(name, ...): the value is what is written next. */
void aml_name(struct aml *aml, const char *name);
void aml_integer(struct aml *aml, uint32_t value);
void aml_string(struct aml *aml, const char *text);
/* Method(event) { Notify(\\SCOPE.DEVICE, value) }, within the scope \\_GPE. Names of four characters. */
void aml_event(struct aml *aml, const char *event, const char *scope, const char *device, uint8_t value);
/* Name(_HID, EISAID(id)), such as "PNP0501". */
void aml_hardware_id(struct aml *aml, const char *id);

/* Name(_CRS, ResourceTemplate { ... }): resources in between, then aml_resources_end. */
void aml_resources(struct aml *aml);
void aml_resource_ports(struct aml *aml, uint16_t base, uint8_t length);
void aml_resource_irq(struct aml *aml, unsigned line);
void aml_resource_bus(struct aml *aml, uint16_t first, uint16_t last);
void aml_resource_port_window(struct aml *aml, uint16_t first, uint16_t last);
void aml_resource_memory_window(struct aml *aml, uint32_t first, uint32_t last);
void aml_resources_end(struct aml *aml);

#endif
