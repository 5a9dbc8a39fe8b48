/* The 16550 (National Semiconductor PC16550D data sheet; section numbers are its); see console.h. */
#include "guests/runtime/console.h"

#include "guests/runtime/cpu.h"
#include "guests/runtime/interrupts.h"
#include "guests/runtime/text.h"
#include "vmm/boot/boot_info.h"

#define UART_IRQ 4

#define UART_RBR (BOOT_PORT_UART + 0) /* read: received byte; write: THR */
#define UART_IER (BOOT_PORT_UART + 1)
#define UART_IIR (BOOT_PORT_UART + 2) /* read; write: FCR */
#define UART_LCR (BOOT_PORT_UART + 3)
#define UART_MCR (BOOT_PORT_UART + 4)
#define UART_LSR (BOOT_PORT_UART + 5)

#define IER_RECEIVE      0x01
#define FCR_ENABLE       0x01
#define FCR_CLEAR        0x06 /* both FIFOs */
#define FCR_TRIGGER_14   0xc0
#define IIR_KIND         0x0f
#define IIR_RECEIVED     0x04 /* as many bytes as the trigger level, or more, are there: section 8.5 */
#define IIR_TIMEOUT      0x0c /* fewer, but they have been there for four character times */
#define LCR_8N1          0x03
#define LCR_DLAB         0x80
#define MCR_LOOPBACK     0x10
#define MCR_DTR_RTS_OUT2 0x0b /* OUT2 connects the chip to its interrupt line on a PC */
#define LSR_DATA_READY   0x01
#define LSR_THR_EMPTY    0x20 /* with FIFOs on: the transmit FIFO is empty, and takes 16 bytes */

#define TRIGGER_LEVEL 14
#define TRANSMIT_FIFO 16
#define RECEIVE_FIFO  16
#define DRAIN_MAX     64 /* bytes in one go, so that interrupts are not off for long */

/*
 * An interrupt handler has no caller to hand it its state; hence one static for the one console. `head` and `tail` only
 * ever grow. The handler moves `head`, after it has written the byte; the reader moves `tail`, after it has read the
 * byte. All is volatile because that order is what keeps the two apart: a compiler may otherwise give the place away
 * first.
 */
static volatile struct {
    uint8_t ring[CONSOLE_RING];
    uint32_t head;
    uint32_t tail;
    bool backlog; /* the handler may have left bytes in the FIFO */
} input;

void console_write(const char *bytes, size_t length)
{
    while (length > 0) {
        while (!(port_in8(UART_LSR) & LSR_THR_EMPTY))
            ;
        size_t burst = length < TRANSMIT_FIFO ? length : TRANSMIT_FIFO;
        for (size_t i = 0; i < burst; i++)
            port_out8(UART_RBR, (uint8_t)bytes[i]);
        bytes += burst;
        length -= burst;
    }
}

void console_print(const char *format, ...)
{
    char buffer[512];
    struct text text = {.data = buffer, .capacity = sizeof buffer};
    va_list arguments;
    va_start(arguments, format);
    text_format(&text, format, arguments);
    va_end(arguments);
    console_write(buffer, text.length);
}

static bool ring_full(void)
{
    return input.head - input.tail == CONSOLE_RING;
}

static void take_byte(void)
{
    uint32_t head = input.head;
    input.ring[head % CONSOLE_RING] = port_in8(UART_RBR);
    input.head = head + 1;
}

/*
 * Turning the FIFOs on empties them (section 8.3), and a byte that came before would be lost. Loopback disconnects the
 * line meanwhile: what the receiver holds is taken first, and nothing follows it.
 */
void console_start(void)
{
    port_out8(UART_MCR, MCR_LOOPBACK);
    for (unsigned i = 0; i < RECEIVE_FIFO && (port_in8(UART_LSR) & LSR_DATA_READY); i++)
        take_byte();
    port_out8(UART_IER, 0);
    port_out8(UART_LCR, LCR_DLAB | LCR_8N1);
    port_out8(UART_RBR, 1); /* divisor 1: 115200 baud */
    port_out8(UART_IER, 0);
    port_out8(UART_LCR, LCR_8N1);
    port_out8(UART_IIR, FCR_TRIGGER_14 | FCR_CLEAR | FCR_ENABLE);
    port_out8(UART_MCR, MCR_DTR_RTS_OUT2);
}

/* How many bytes the chip is sure to hold now, told by its reason to interrupt: so a burst costs one look instead of
 * one look for each byte. */
static unsigned certain_bytes(void)
{
    switch (port_in8(UART_IIR) & IIR_KIND) {
    case IIR_RECEIVED:
        return TRIGGER_LEVEL;
    case IIR_TIMEOUT:
        return 1;
    default:
        return 0;
    }
}

/* Moves bytes from the FIFO to the ring until the chip has no reason to interrupt, the ring is full, or DRAIN_MAX have
 * come. Interrupts are off. */
static void drain_fifo(void)
{
    for (unsigned taken = 0; taken < DRAIN_MAX;) {
        unsigned certain = certain_bytes();
        if (certain == 0) {
            input.backlog = false;
            return;
        }
        /* After a timeout the rest is fewer than the trigger level, and only the line status tells how many. */
        bool count_known = certain > 1;
        while (count_known ? certain-- > 0 : (port_in8(UART_LSR) & LSR_DATA_READY) != 0) {
            if (ring_full()) {
                input.backlog = true;
                return;
            }
            take_byte();
            taken++;
        }
    }
    input.backlog = true;
}

static struct frame *on_receive(struct frame *frame, void *context)
{
    (void)context;
    drain_fifo();
    return frame;
}

void console_start_input(void)
{
    interrupts_handle_irq(UART_IRQ, on_receive, NULL);
    port_out8(UART_IER, IER_RECEIVE);
}

bool console_try_read(uint8_t *byte)
{
    if (input.head == input.tail) {
        if (!input.backlog)
            return false;
        /* The request line stayed high while bytes were left, and an edge-triggered interrupt controller says nothing
         * more about it: fetch them ourselves. */
        interrupts_off();
        drain_fifo();
        interrupts_on();
        if (input.head == input.tail)
            return false;
    }
    uint32_t tail = input.tail;
    *byte = input.ring[tail % CONSOLE_RING];
    input.tail = tail + 1;
    return true;
}

uint8_t console_read(void)
{
    uint8_t byte;
    while (!console_try_read(&byte)) {
        interrupts_off();
        if (input.head == input.tail && !input.backlog)
            interrupts_wait();
        else
            interrupts_on();
    }
    return byte;
}
