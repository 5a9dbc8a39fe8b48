#include "vmm/devices/i8042.h"

#include <string.h>

/* Status, port 64h. */
#define STATUS_OUTPUT_FULL 0x01
#define STATUS_SYSTEM      0x04
#define STATUS_COMMAND     0x08
#define STATUS_UNLOCKED    0x10

/* The command byte. */
#define BYTE_INTERRUPT 0x01
#define BYTE_SYSTEM    0x04
#define BYTE_DISABLED  0x10
#define BYTE_NO_AUX    0x20
#define BYTE_TRANSLATE 0x40

/* Commands of the controller. */
enum {
    READ_BYTE = 0x20,
    WRITE_BYTE = 0x60,
    DISABLE_AUX = 0xa7,
    ENABLE_AUX = 0xa8,
    TEST_AUX = 0xa9,
    SELF_TEST = 0xaa,
    TEST_PORT = 0xab,
    DISABLE = 0xad,
    ENABLE = 0xae,
    READ_OUTPUT = 0xd0,
    WRITE_OUTPUT = 0xd1,
    ECHO = 0xd2,
    ECHO_AUX = 0xd3,
    WRITE_AUX = 0xd4,
    PULSE = 0xf0,
};

/* The output port: bit 0 is the processor's reset line, low active; bit 1 the A20 gate. */
#define OUTPUT_RESET 0x01
#define OUTPUT_A20   0x02
#define OUTPUT_START 0xcf

/* The keyboard's commands and answers. */
enum {
    KEY_SET_LEDS = 0xed,
    KEY_ECHO = 0xee,
    KEY_SCAN_SET = 0xf0,
    KEY_IDENTIFY = 0xf2,
    KEY_RATE = 0xf3,
    KEY_ENABLE = 0xf4,
    KEY_DISABLE = 0xf5,
    KEY_DEFAULTS = 0xf6,
    KEY_ALL_TYPEMATIC = 0xf7, /* the first of those that say how the keys of set 3 behave */
    KEY_SOME_MAKE = 0xfd,     /* and the last */
    KEY_RESEND = 0xfe,        /* also an answer: it did not understand */
    KEY_RESET = 0xff,
    KEY_ACK = 0xfa,
    KEY_TEST_PASSED = 0xaa
};

void i8042_init(struct i8042 *controller, struct irq_wire irq, struct reset_wire reset)
{
    *controller = (struct i8042){
        .command_byte = BYTE_INTERRUPT | BYTE_SYSTEM | BYTE_TRANSLATE,
        .output_port = OUTPUT_START,
        .scanning = true,
        .scan_set = 2,
        .irq = irq,
        .reset = reset,
    };
}

void i8042_state(struct i8042 *controller, struct state *state)
{
    state_section(state, "i8042", 1);
    state_u8(state, "command byte", &controller->command_byte);
    state_u8(state, "output port", &controller->output_port);
    state_u8(state, "expects", &controller->expects);
    state_u8(state, "keyboard expects", &controller->keyboard_expects);
    state_bool(state, "last was command", &controller->last_was_command);
    state_bool(state, "scanning", &controller->scanning);
    state_u8_max(state, "scan set", &controller->scan_set, 3);
    state_u8(state, "answer", &controller->answer);
    state_bool(state, "answered", &controller->answered);
    state_u8(state, "sent", &controller->sent);
    state_u8_max(state, "queued", &controller->queued, I8042_QUEUE);
    state_bytes(state, "queue", controller->queue, sizeof controller->queue);
    for (unsigned i = controller->queued; i < I8042_QUEUE; i++)
        state_require(state, controller->queue[i] == 0, "the queue has bytes behind its end");
}

static bool keyboard_ready(const struct i8042 *controller)
{
    return controller->queued && !(controller->command_byte & BYTE_DISABLED);
}

static void update(struct i8042 *controller)
{
    bool full = controller->answered || keyboard_ready(controller);

    irq_wire_set(&controller->irq, full && controller->command_byte & BYTE_INTERRUPT);
}

static void put(struct i8042 *controller, uint8_t byte)
{
    if (controller->queued < I8042_QUEUE)
        controller->queue[controller->queued++] = byte;
}

static void answer(struct i8042 *controller, uint8_t byte)
{
    controller->answer = byte;
    controller->answered = true;
}

size_t i8042_room(const struct i8042 *controller)
{
    /* Some of it is for the keyboard's answers. */
    return controller->queued < I8042_QUEUE - 8 ? I8042_QUEUE - 8u - controller->queued : 0;
}

void i8042_press(struct i8042 *controller, const uint8_t *codes, size_t length)
{
    for (size_t i = 0; i < length && controller->scanning; i++)
        put(controller, codes[i]);
    update(controller);
}

static void reset_machine(struct i8042 *controller)
{
    if (controller->reset.reset)
        controller->reset.reset(controller->reset.context);
}

static void keyboard_defaults(struct i8042 *controller)
{
    controller->scan_set = 2;
    controller->scanning = true;
}

/* The byte that belongs to the keyboard's command before. */
static void keyboard_argument(struct i8042 *controller, uint8_t command, uint8_t value)
{
    /* The numbers of the scan code sets as the controller translates them, like everything that the keyboard sends. */
    static const uint8_t translated[4] = {0x00, 0x43, 0x41, 0x3f};

    put(controller, KEY_ACK);
    if (command != KEY_SCAN_SET)
        return;
    if (value == 0)
        put(controller,
            controller->command_byte & BYTE_TRANSLATE ? translated[controller->scan_set] : controller->scan_set);
    else if (value <= 3)
        controller->scan_set = value;
}

static void keyboard_command(struct i8042 *controller, uint8_t command)
{
    switch (command) {
    case KEY_ECHO:
        put(controller, KEY_ECHO);
        return;
    case KEY_RESEND:
        put(controller, controller->sent);
        return;
    case KEY_SET_LEDS:
    case KEY_SCAN_SET:
    case KEY_RATE:
        controller->keyboard_expects = command;
        break;
    case KEY_ENABLE:
        controller->scanning = true;
        break;
    case KEY_DISABLE:
        keyboard_defaults(controller);
        controller->scanning = false;
        break;
    case KEY_DEFAULTS:
        keyboard_defaults(controller);
        break;
    case KEY_IDENTIFY:
    case KEY_ALL_TYPEMATIC ... KEY_SOME_MAKE:
    case KEY_RESET:
        break;
    default:
        put(controller, KEY_RESEND);
        return;
    }
    put(controller, KEY_ACK);
    if (command == KEY_IDENTIFY) {
        put(controller, 0xab);
        put(controller, controller->command_byte & BYTE_TRANSLATE ? 0x41 : 0x83);
    } else if (command == KEY_RESET) {
        keyboard_defaults(controller);
        put(controller, KEY_TEST_PASSED);
    }
}

static void write_keyboard(struct i8042 *controller, uint8_t value)
{
    uint8_t command = controller->keyboard_expects;

    /* A byte for the keyboard wakes it up. */
    controller->command_byte &= (uint8_t)~BYTE_DISABLED;
    controller->keyboard_expects = 0;
    if (command && value < 0x80)
        keyboard_argument(controller, command, value);
    else
        keyboard_command(controller, value);
}

static void write_output_port(struct i8042 *controller, uint8_t value)
{
    controller->output_port = value | OUTPUT_A20;
    if (!(value & OUTPUT_RESET))
        reset_machine(controller);
}

void i8042_data_write(void *device, const struct bus_access *access, uint64_t value)
{
    struct i8042 *controller = device;
    uint8_t command = controller->expects;
    uint8_t byte = (uint8_t)value;

    (void)access;
    controller->last_was_command = false;
    controller->expects = 0;
    switch (command) {
    case 0:
        write_keyboard(controller, byte);
        break;
    case WRITE_BYTE:
        controller->command_byte = byte;
        break;
    case WRITE_OUTPUT:
        write_output_port(controller, byte);
        break;
    case ECHO:
        answer(controller, byte);
        break;
    default: /* for the auxiliary device, which is not there */
        break;
    }
    update(controller);
}

uint64_t i8042_data_read(void *device, const struct bus_access *access)
{
    struct i8042 *controller = device;

    (void)access;
    if (controller->answered) {
        controller->answered = false;
    } else if (keyboard_ready(controller)) {
        controller->answer = controller->sent = controller->queue[0];
        controller->queued--;
        memmove(controller->queue, controller->queue + 1, controller->queued);
        controller->queue[controller->queued] = 0;
    }
    /* The line falls between bytes, so that each makes an edge. */
    irq_wire_set(&controller->irq, false);
    update(controller);
    return controller->answer;
}

uint64_t i8042_status_read(void *device, const struct bus_access *access)
{
    const struct i8042 *controller = device;
    uint8_t status = STATUS_UNLOCKED | (controller->command_byte & BYTE_SYSTEM);

    (void)access;
    if (controller->answered || keyboard_ready(controller))
        status |= STATUS_OUTPUT_FULL;
    if (controller->last_was_command)
        status |= STATUS_COMMAND;
    return status;
}

void i8042_command_write(void *device, const struct bus_access *access, uint64_t value)
{
    struct i8042 *controller = device;
    uint8_t command = (uint8_t)value;

    (void)access;
    controller->last_was_command = true;
    controller->expects = 0;
    switch (command) {
    case READ_BYTE:
        answer(controller, controller->command_byte);
        break;
    case WRITE_BYTE:
    case WRITE_OUTPUT:
    case ECHO:
    case ECHO_AUX:
    case WRITE_AUX:
        controller->expects = command;
        break;
    case SELF_TEST:
        controller->command_byte |= BYTE_SYSTEM;
        answer(controller, 0x55);
        break;
    case TEST_PORT:
        answer(controller, 0x00);
        break;
    case TEST_AUX:
        answer(controller, 0x01); /* its clock line is stuck low: nothing is there */
        break;
    case DISABLE_AUX:
        controller->command_byte |= BYTE_NO_AUX;
        break;
    case ENABLE_AUX:
        controller->command_byte &= (uint8_t)~BYTE_NO_AUX;
        break;
    case DISABLE:
        controller->command_byte |= BYTE_DISABLED;
        break;
    case ENABLE:
        controller->command_byte &= (uint8_t)~BYTE_DISABLED;
        break;
    case READ_OUTPUT:
        answer(controller, controller->output_port);
        break;
    default:
        if (command >= PULSE && !(command & OUTPUT_RESET))
            reset_machine(controller);
        break;
    }
    update(controller);
}
