#include "vmm/devices/uart16550.h"

#include <string.h>

#include "base/check.h"
#include "vmm/devices/isa_bytes.h"

/* Registers by offset; the first two give way to the divisor while LCR's DLAB is set. */
enum { DATA, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCRATCH };

#define IER_RECEIVED    0x01
#define IER_THRE        0x02
#define IER_LINE        0x04
#define IER_MODEM       0x08
#define IER_BITS        0x0f
#define IIR_LINE        0x06 /* the interrupt identities, highest priority first */
#define IIR_RECEIVED    0x04
#define IIR_TIMEOUT     0x0c
#define IIR_THRE        0x02
#define IIR_MODEM       0x00
#define IIR_NONE        0x01
#define IIR_FIFOS       0xc0
#define FCR_ENABLE      0x01
#define FCR_RESET       0x02 /* of the receiver's FIFO; the transmitter's is always empty */
#define FCR_KEPT        0xc9
#define LCR_TWO_STOPS   0x04
#define LCR_PARITY      0x08
#define LCR_BREAK       0x40
#define LCR_DLAB        0x80
#define MCR_DTR         0x01
#define MCR_RTS         0x02
#define MCR_OUT1        0x04
#define MCR_OUT2        0x08
#define MCR_LOOP        0x10
#define MCR_BITS        0x1f
#define LSR_READY       0x01
#define LSR_OVERRUN     0x02
#define LSR_FRAMING     0x08
#define LSR_BREAK       0x10
#define LSR_ERRORS      0x1e
#define LSR_SENT        0x60 /* THRE and TEMT: always, since sending takes no time */
#define LSR_FIFO_ERROR  0x80
#define MSR_DELTAS      0x0f
#define MSR_CTS         0x10
#define MSR_DSR         0x20
#define MSR_RI          0x40
#define MSR_DCD         0x80
#define MSR_TERI        0x04
#define POWER_ON_DIVIDE 12 /* 9600 baud */
#define CLOCK_HZ        1843200

static bool fifos(const struct uart16550 *uart)
{
    return uart->fcr & FCR_ENABLE;
}

static bool loopback(const struct uart16550 *uart)
{
    return uart->mcr & MCR_LOOP;
}

/* How many bytes the receiver must hold to ask for attention. */
static unsigned trigger(const struct uart16550 *uart)
{
    static const uint8_t levels[4] = {1, 4, 8, 14};

    return fifos(uart) ? levels[uart->fcr >> 6] : 1;
}

/* IIR's identity bits: the enabled and pending interrupt of highest priority. */
static uint8_t interrupt(const struct uart16550 *uart)
{
    if ((uart->ier & IER_LINE) && uart->errors)
        return IIR_LINE;
    if ((uart->ier & IER_RECEIVED) && uart->received_count >= trigger(uart))
        return IIR_RECEIVED;
    if ((uart->ier & IER_RECEIVED) && uart->timeout_pending)
        return IIR_TIMEOUT;
    if ((uart->ier & IER_THRE) && uart->thre_pending)
        return IIR_THRE;
    if ((uart->ier & IER_MODEM) && (uart->msr & MSR_DELTAS))
        return IIR_MODEM;
    return IIR_NONE;
}

static void drive_irq(struct uart16550 *uart)
{
    irq_wire_set(&uart->irq, interrupt(uart) != IIR_NONE && (uart->mcr & MCR_OUT2));
}

/* Four character times in nanoseconds. A character is a start bit, 5 to 8 data bits, perhaps a parity bit, and one or
 * two stop bits (one and a half with 5 data bits), each of 16 * divisor clocks; the sum here is in half bits. */
static uint64_t timeout_length(const struct uart16550 *uart)
{
    unsigned data_bits = 5 + (uart->lcr & 3);
    unsigned parity_bits = uart->lcr & LCR_PARITY ? 1 : 0;
    unsigned stop_halves = !(uart->lcr & LCR_TWO_STOPS) ? 2 : data_bits == 5 ? 3 : 4;
    unsigned halves = 2 * (1 + data_bits + parity_bits) + stop_halves;
    uint64_t divisor = uart->divisor ? uart->divisor : 65536;

    return (4ull * halves * 8 * divisor * 1000000000 + CLOCK_HZ - 1) / CLOCK_HZ;
}

static void restart_timeout(struct uart16550 *uart, uint64_t now)
{
    uint64_t length = timeout_length(uart);

    uart->timeout_pending = false;
    uart->timeout_at = now < NO_DEADLINE - length ? now + length : NO_DEADLINE;
}

/* LSR shows the errors of a byte once it is the next to be read. */
static void show_errors(struct uart16550 *uart)
{
    if (uart->received_count > 0)
        uart->errors |= uart->received_errors[0];
}

/* A byte is complete in the receiver's shift register. Without FIFOs it replaces an unread one; a full FIFO keeps what
 * it has and the byte is lost; both are an overrun. */
static void arrive(struct uart16550 *uart, uint8_t byte, uint8_t errors, uint64_t now)
{
    unsigned capacity = fifos(uart) ? UART16550_FIFO : 1;

    restart_timeout(uart, now);
    if (uart->received_count == capacity) {
        uart->errors |= LSR_OVERRUN;
        if (fifos(uart))
            return;
        uart->received_count = 0;
    }
    uart->received[uart->received_count] = byte;
    uart->received_errors[uart->received_count] = errors;
    uart->received_count++;
    show_errors(uart);
}

/* Lets bytes come off the cable up to the trigger level. */
static void pull(struct uart16550 *uart, uint64_t now)
{
    while (!loopback(uart) && uart->backlog_count > 0 && uart->received_count < trigger(uart)) {
        uint8_t byte = uart->backlog[uart->backlog_first];
        uart->backlog_first = (uart->backlog_first + 1) % UART16550_BACKLOG;
        uart->backlog_count--;
        arrive(uart, byte, 0, now);
    }
    drive_irq(uart);
}

size_t uart16550_room(const struct uart16550 *uart)
{
    return UART16550_BACKLOG - uart->backlog_count;
}

void uart16550_receive(struct uart16550 *uart, const uint8_t *bytes, size_t length, uint64_t now)
{
    CHECK(length <= uart16550_room(uart));
    uart16550_advance(uart, now);
    for (size_t i = 0; i < length; i++)
        uart->backlog[(uart->backlog_first + uart->backlog_count++) % UART16550_BACKLOG] = bytes[i];
    pull(uart, now);
}

static bool timeout_runs(const struct uart16550 *uart)
{
    return fifos(uart) && uart->received_count > 0 && !uart->timeout_pending;
}

uint64_t uart16550_deadline(const struct uart16550 *uart)
{
    /* At its trigger level the receiver has interrupted already. */
    if (!timeout_runs(uart) || !(uart->ier & IER_RECEIVED) || uart->received_count >= trigger(uart))
        return NO_DEADLINE;
    return uart->timeout_at;
}

void uart16550_advance(struct uart16550 *uart, uint64_t now)
{
    if (!timeout_runs(uart) || now < uart->timeout_at)
        return;
    uart->timeout_pending = true;
    drive_irq(uart);
}

/* In loopback the break goes round to the receiver, which takes it for one zero byte without a stop bit. */
static bool hears_break(const struct uart16550 *uart)
{
    return loopback(uart) && (uart->lcr & LCR_BREAK);
}

static void after_break_change(struct uart16550 *uart, bool heard_before, uint64_t now)
{
    if (!heard_before && hears_break(uart))
        arrive(uart, 0, LSR_BREAK | LSR_FRAMING, now);
}

static void transmit(struct uart16550 *uart, uint8_t byte, uint64_t now)
{
    uart->thre_pending = false;
    drive_irq(uart);
    if (loopback(uart)) {
        if (!hears_break(uart))
            arrive(uart, byte, 0, now);
    } else if (uart->sink.put) {
        uart->sink.put(uart->sink.context, byte);
    }
    uart->thre_pending = true;
    drive_irq(uart);
}

/* Reads RBR. The line may fall here and rise again in `pull`: another byte has come off the cable. */
static uint8_t take_received(struct uart16550 *uart, uint64_t now)
{
    uint8_t byte = uart->received[0];

    if (uart->received_count == 0)
        return 0;
    uart->received_count--;
    memmove(uart->received, uart->received + 1, uart->received_count);
    memmove(uart->received_errors, uart->received_errors + 1, uart->received_count);
    restart_timeout(uart, now);
    show_errors(uart);
    drive_irq(uart);
    pull(uart, now);
    return byte;
}

static uint8_t read_lsr(struct uart16550 *uart)
{
    uint8_t value = LSR_SENT | uart->errors;

    if (uart->received_count > 0)
        value |= LSR_READY;
    for (unsigned i = 0; fifos(uart) && i < uart->received_count; i++) {
        if (uart->received_errors[i])
            value |= LSR_FIFO_ERROR;
    }
    uart->errors = 0;
    if (uart->received_count > 0)
        uart->received_errors[0] = 0;
    drive_irq(uart);
    return value;
}

static uint8_t read_iir(struct uart16550 *uart)
{
    uint8_t identity = interrupt(uart);

    if (identity == IIR_THRE)
        uart->thre_pending = false;
    drive_irq(uart);
    return identity | (fifos(uart) ? IIR_FIFOS : 0);
}

static uint8_t read_msr(struct uart16550 *uart)
{
    uint8_t value = uart->msr;

    uart->msr &= ~MSR_DELTAS;
    drive_irq(uart);
    return value;
}

static void write_ier(struct uart16550 *uart, uint8_t value)
{
    /* THR is empty, so enabling its interrupt raises it at once. */
    if (value & ~uart->ier & IER_THRE)
        uart->thre_pending = true;
    uart->ier = value & IER_BITS;
    drive_irq(uart);
}

static void write_fcr(struct uart16550 *uart, uint8_t value, uint64_t now)
{
    bool toggled = (value ^ uart->fcr) & FCR_ENABLE;

    /* The other bits count only when bit 0 is written as 1. */
    uart->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
    if (toggled || (fifos(uart) && (value & FCR_RESET))) {
        uart->received_count = 0;
        uart->timeout_pending = false;
    }
    drive_irq(uart);
    pull(uart, now);
}

static uint8_t modem_inputs(const struct uart16550 *uart)
{
    if (!loopback(uart))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return (uart->mcr & MCR_RTS ? MSR_CTS : 0) | (uart->mcr & MCR_DTR ? MSR_DSR : 0) |
           (uart->mcr & MCR_OUT1 ? MSR_RI : 0) | (uart->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void write_mcr(struct uart16550 *uart, uint8_t value, uint64_t now)
{
    bool heard = hears_break(uart);
    uint8_t before = uart->msr;

    uart->mcr = value & MCR_BITS;
    uint8_t inputs = modem_inputs(uart);
    uint8_t deltas = (uint8_t)((before ^ inputs) >> 4);
    /* RI reports only its trailing edge. */
    if (!(before & MSR_RI))
        deltas &= ~MSR_TERI;
    uart->msr = inputs | (before & MSR_DELTAS) | deltas;
    after_break_change(uart, heard, now);
    pull(uart, now);
}

static void write_lcr(struct uart16550 *uart, uint8_t value, uint64_t now)
{
    bool heard = hears_break(uart);

    uart->lcr = value;
    after_break_change(uart, heard, now);
    drive_irq(uart);
}

static uint8_t read_byte(void *device, uint64_t port, uint64_t now)
{
    struct uart16550 *uart = device;

    uart16550_advance(uart, now);
    if ((uart->lcr & LCR_DLAB) && port <= IER)
        return (uint8_t)(uart->divisor >> (8 * port));
    switch (port) {
    case DATA:
        return take_received(uart, now);
    case IER:
        return uart->ier;
    case IIR_FCR:
        return read_iir(uart);
    case LCR:
        return uart->lcr;
    case MCR:
        return uart->mcr;
    case LSR:
        return read_lsr(uart);
    case MSR:
        return read_msr(uart);
    default:
        return uart->scratch;
    }
}

static void write_byte(void *device, uint64_t port, uint8_t value, uint64_t now)
{
    struct uart16550 *uart = device;

    uart16550_advance(uart, now);
    if ((uart->lcr & LCR_DLAB) && port <= IER) {
        uart->divisor = port == DATA ? (uart->divisor & 0xff00) | value : (uart->divisor & 0xff) | value << 8;
        return;
    }
    switch (port) {
    case DATA:
        transmit(uart, value, now);
        break;
    case IER:
        write_ier(uart, value);
        break;
    case IIR_FCR:
        write_fcr(uart, value, now);
        break;
    case LCR:
        write_lcr(uart, value, now);
        break;
    case MCR:
        write_mcr(uart, value, now);
        break;
    case SCRATCH:
        uart->scratch = value;
        break;
    default: /* LSR and MSR are for reading; writing them is for the maker's tests */
        break;
    }
}

uint64_t uart16550_read(void *device, const struct bus_access *access)
{
    return isa_read_bytes(device, access, read_byte);
}

void uart16550_write(void *device, const struct bus_access *access, uint64_t value)
{
    isa_write_bytes(device, access, value, write_byte);
}

void uart16550_init(struct uart16550 *uart, struct byte_sink sink, struct irq_wire irq)
{
    *uart = (struct uart16550){.divisor = POWER_ON_DIVIDE, .sink = sink, .irq = irq};
    uart->msr = modem_inputs(uart);
}

/* Turns the backlog so that it begins at its first element. */
static void straighten(struct uart16550 *uart)
{
    uint8_t bent[UART16550_BACKLOG];

    if (uart->backlog_first == 0)
        return;
    memcpy(bent, uart->backlog, sizeof bent);
    for (uint32_t i = 0; i < uart->backlog_count; i++)
        uart->backlog[i] = bent[(uart->backlog_first + i) % UART16550_BACKLOG];
    uart->backlog_first = 0;
}

void uart16550_state(struct uart16550 *uart, struct state *state)
{
    straighten(uart);
    state_section(state, "uart16550", 1);
    state_u8_max(state, "ier", &uart->ier, IER_BITS);
    state_u8(state, "fcr", &uart->fcr);
    state_u8(state, "lcr", &uart->lcr);
    state_u8_max(state, "mcr", &uart->mcr, MCR_BITS);
    state_u8(state, "msr", &uart->msr);
    state_u8(state, "scratch", &uart->scratch);
    state_u16(state, "divisor", &uart->divisor);
    state_u8(state, "errors", &uart->errors);
    state_bool(state, "thre_pending", &uart->thre_pending);
    state_bool(state, "timeout_pending", &uart->timeout_pending);
    state_u64(state, "timeout_at", &uart->timeout_at);
    state_u8_max(state, "received_count", &uart->received_count, UART16550_FIFO);
    state_bytes(state, "received", uart->received, uart->received_count);
    state_bytes(state, "received_errors", uart->received_errors, uart->received_count);
    state_u32_max(state, "backlog_count", &uart->backlog_count, UART16550_BACKLOG);
    state_bytes(state, "backlog", uart->backlog, uart->backlog_count);
    state_require(state, fifos(uart) ? (uart->fcr & ~FCR_KEPT) == 0 : uart->fcr == 0, "fcr has unknown bits");
    state_require(state, fifos(uart) || uart->received_count <= 1, "more received than fits without FIFOs");
    state_require(state, (uart->msr & ~MSR_DELTAS) == modem_inputs(uart), "msr is not the state of the modem inputs");
    state_require(state, (uart->errors & ~LSR_ERRORS) == 0, "errors has unknown bits");
    for (unsigned i = 0; i < uart->received_count; i++)
        state_require(state, (uart->received_errors[i] & ~LSR_ERRORS) == 0, "received_errors has unknown bits");
}
