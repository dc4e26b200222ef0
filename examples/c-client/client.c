/* A client of the bus in plain C, without a library: docs/bus.md is all that it is made from.
 *
 *   cc -o client client.c
 *   client call  UUID VERSION TEXT    calls whoever provides the endpoint, and prints the answer
 *   client serve UUID VERSION         provides it: answers each call with "Hello, " and what it was sent
 *
 * To serve, it has to run as an Ente whose Card lists the endpoint in "provides", has "readiness": "announce", and
 * "wit-v1" in permissions.ipc.allow.
 *
 * The socket is $ENTE_BUS_SOCK, else /run/ente-bus.sock. A frame is four bytes with the length of its body, most
 * significant first, and the body in postcard: numbers as varints (seven bits a byte, lowest first, the highest bit
 * says that more follow), texts and lists as their length and what they hold, an optional value as 0, or 1 and the
 * value, records as their fields one after the other, and a choice as its number and what belongs to it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_FRAME (1u << 20)

/* Numbers of the protocol. */
enum { WELCOME = 0 };                                          /* HelloAnswer */
enum { REQUEST_ANNOUNCE = 16, REQUEST_INVOKE = 18, REQUEST_ANSWER = 19 };
enum { FRAME_REPLY = 0, FRAME_CALL = 3 };                      /* ServerFrame */
enum { RESPONSE_OK = 0, RESPONSE_ERROR = 1, RESPONSE_INVOKED = 7 };
enum { CAPABILITY_ENDPOINT = 8, CAPABILITY_WIT = 9 };
enum { ORIGIN_PROCESS = 1 };

static void die(const char *what) {
    fprintf(stderr, "client: %s\n", what);
    exit(1);
}

/* --- writing --------------------------------------------------------------------------------- */

struct out {
    uint8_t bytes[4 + MAX_FRAME];
    size_t length; /* of the body */
};

static void put_bytes(struct out *out, const void *bytes, size_t count) {
    if (count > MAX_FRAME - out->length)
        die("the request does not fit in a frame");
    memcpy(out->bytes + 4 + out->length, bytes, count);
    out->length += count;
}

static void put_number(struct out *out, uint64_t number) {
    do {
        uint8_t byte = (number & 0x7f) | (number > 0x7f ? 0x80 : 0);
        put_bytes(out, &byte, 1);
        number >>= 7;
    } while (number);
}

static void put_text(struct out *out, const void *text, size_t length) {
    put_number(out, length);
    put_bytes(out, text, length);
}

static void send_frame(int bus, struct out *out) {
    for (int i = 0; i < 4; i++)
        out->bytes[i] = (uint8_t)(out->length >> (24 - 8 * i));
    size_t total = 4 + out->length, sent = 0;
    while (sent < total) {
        ssize_t count = send(bus, out->bytes + sent, total - sent, MSG_NOSIGNAL);
        if (count <= 0)
            die("the bus closed the connection");
        sent += (size_t)count;
    }
    out->length = 0;
}

/* --- reading --------------------------------------------------------------------------------- */

struct in {
    uint8_t bytes[MAX_FRAME];
    size_t length, at;
};

static void read_exactly(int bus, uint8_t *bytes, size_t count) {
    while (count) {
        ssize_t got = read(bus, bytes, count);
        if (got <= 0)
            die("the bus closed the connection");
        bytes += got;
        count -= (size_t)got;
    }
}

static void receive_frame(int bus, struct in *in) {
    uint8_t head[4];
    read_exactly(bus, head, 4);
    in->length = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    in->at = 0;
    if (in->length > MAX_FRAME)
        die("a frame that is too long");
    read_exactly(bus, in->bytes, in->length);
}

static const uint8_t *take_bytes(struct in *in, size_t count) {
    if (count > in->length - in->at)
        die("a frame that ends too early");
    const uint8_t *bytes = in->bytes + in->at;
    in->at += count;
    return bytes;
}

static uint64_t take_number(struct in *in) {
    uint64_t number = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        uint8_t byte = *take_bytes(in, 1);
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return number;
    }
    die("a number that is too long");
    return 0;
}

static const uint8_t *take_text(struct in *in, size_t *length) {
    *length = (size_t)take_number(in);
    return take_bytes(in, *length);
}

static void skip_capability(struct in *in) {
    size_t length;
    uint64_t kind = take_number(in);
    if (kind == CAPABILITY_ENDPOINT) {
        take_bytes(in, 16);
        take_number(in);
    } else if (kind == CAPABILITY_WIT) {
        take_text(in, &length);
    } else if (kind == 6 || kind == 7) { /* KernelNetlink, Device */
        take_number(in);
    }
}

/* --- what is said ---------------------------------------------------------------------------- */

static struct out out;
static struct in in;

static int greet(void) {
    const char *path = getenv("ENTE_BUS_SOCK");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    path = path ? path : "/run/ente-bus.sock";
    if (strlen(path) >= sizeof address.sun_path)
        die("the path of the socket is too long");
    strcpy(address.sun_path, path);
    int bus = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bus < 0 || connect(bus, (struct sockaddr *)&address, sizeof address))
        die("cannot connect to the bus");
    put_text(&out, "wit-v1", 6); /* Hello { protocol, version } */
    put_number(&out, 1);
    send_frame(bus, &out);
    receive_frame(bus, &in);
    if (take_number(&in) != WELCOME)
        die("the bus does not want this client");
    return bus;
}

struct endpoint {
    uint8_t interface[16];
    uint64_t version;
};

static struct endpoint parse(const char *uuid, const char *version) {
    struct endpoint endpoint;
    size_t count = 0;
    for (const char *c = uuid; *c; c++) {
        unsigned byte;
        if (*c == '-')
            continue;
        if (count == 16 || sscanf(c, "%2x", &byte) != 1)
            die("UUID: expected xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
        endpoint.interface[count++] = (uint8_t)byte;
        c++;
        if (!*c)
            break;
    }
    if (count != 16)
        die("UUID: expected xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
    endpoint.version = strtoull(version, NULL, 10);
    return endpoint;
}

static void put_endpoint(struct out *out, const struct endpoint *endpoint) {
    put_number(out, CAPABILITY_ENDPOINT);
    put_bytes(out, endpoint->interface, 16);
    put_number(out, endpoint->version);
}

static void begin(uint32_t serial, uint32_t request) {
    put_number(&out, serial); /* RequestFrame { serial, request } */
    put_number(&out, request);
}

/* Prints what a response of an error says: its code and its message. */
static void print_error(void) {
    size_t length;
    uint64_t code = take_number(&in);
    const uint8_t *message = take_text(&in, &length);
    fprintf(stderr, "client: error %u: %.*s\n", (unsigned)code, (int)length, message);
}

static int call(int bus, const struct endpoint *endpoint, const char *text) {
    begin(1, REQUEST_INVOKE); /* Invoke { capability, payload, deadline_ms } */
    put_endpoint(&out, endpoint);
    put_text(&out, text, strlen(text));
    put_number(&out, 0); /* as long as usual */
    send_frame(bus, &out);
    receive_frame(bus, &in);
    if (take_number(&in) != FRAME_REPLY || take_number(&in) != 1)
        die("an answer to something else");
    switch (take_number(&in)) {
    case RESPONSE_INVOKED: /* { result }: 0 and bytes, or 1 and a CallError */
        if (take_number(&in) == 0) {
            size_t length;
            const uint8_t *answer = take_text(&in, &length);
            fwrite(answer, 1, length, stdout);
            return 0;
        }
        fprintf(stderr, "client: no answer: %u\n", (unsigned)take_number(&in));
        return 1;
    case RESPONSE_ERROR:
        print_error();
        return 1;
    default:
        die("another kind of answer");
        return 1;
    }
}

/* Answers the call that is in `in`: Call { id, caller { ente, label, origin }, capability, payload, left_ms } */
static void answer(int bus, uint32_t serial) {
    static const char greeting[] = "Hello, ";
    size_t length;
    const uint8_t *id = take_bytes(&in, 16);
    if (take_number(&in)) /* the caller's Ente, if it belongs to one */
        take_bytes(&in, 16);
    if (take_number(&in)) /* and its label */
        take_text(&in, &length);
    if (take_number(&in) == ORIGIN_PROCESS) {
        take_number(&in); /* process id */
        take_number(&in); /* user */
        take_number(&in); /* group */
    }
    skip_capability(&in);
    const uint8_t *payload = take_text(&in, &length);
    begin(serial, REQUEST_ANSWER); /* Answer { call, result } */
    put_bytes(&out, id, 16);
    put_number(&out, 0);
    put_number(&out, sizeof greeting - 1 + length);
    put_bytes(&out, greeting, sizeof greeting - 1);
    put_bytes(&out, payload, length);
    send_frame(bus, &out);
}

static int serve(int bus, const struct endpoint *endpoint) {
    begin(1, REQUEST_ANNOUNCE); /* Announce { capabilities } */
    put_number(&out, 1);
    put_endpoint(&out, endpoint);
    send_frame(bus, &out);
    for (uint32_t serial = 2;; ) {
        receive_frame(bus, &in);
        switch (take_number(&in)) {
        case FRAME_CALL:
            answer(bus, serial++);
            break;
        case FRAME_REPLY:
            if (take_number(&in) == 1 && take_number(&in) == RESPONSE_ERROR) {
                print_error(); /* of the announcement; an answer that comes too late is no error here */
                return 1;
            }
            break;
        default:
            die("a frame of another kind");
        }
    }
}

int main(int count, char **words) {
    if (count == 5 && !strcmp(words[1], "call")) {
        struct endpoint endpoint = parse(words[2], words[3]);
        return call(greet(), &endpoint, words[4]);
    }
    if (count == 4 && !strcmp(words[1], "serve")) {
        struct endpoint endpoint = parse(words[2], words[3]);
        return serve(greet(), &endpoint);
    }
    die("usage: client call UUID VERSION TEXT, or client serve UUID VERSION");
}
