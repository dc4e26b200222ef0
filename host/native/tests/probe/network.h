/* Sockets and interfaces: a part of probe.c. */

static int family(const char *name)
{
    if (!strcmp(name, "unix"))
        return AF_UNIX;
    if (!strcmp(name, "inet"))
        return AF_INET;
    if (!strcmp(name, "inet6"))
        return AF_INET6;
    if (!strcmp(name, "netlink"))
        return AF_NETLINK;
    if (!strcmp(name, "packet"))
        return AF_PACKET;
    if (!strcmp(name, "vsock"))
        return AF_VSOCK;
    return atoi(name);
}

static int type(const char *name)
{
    if (!strcmp(name, "raw"))
        return SOCK_RAW;
    if (!strcmp(name, "udp"))
        return SOCK_DGRAM;
    return SOCK_STREAM;
}

/* socket:FAMILY:TYPE:PROTOCOL */
static int try_socket(char **a)
{
    int fd = socket(family(a[0]), type(a[1]), atoi(a[2]));
    return fd < 0 ? -1 : close(fd);
}

static int address(struct sockaddr_storage *place, const char *text, const char *port)
{
    struct sockaddr_in *v4 = (void *)place;
    struct sockaddr_in6 *v6 = (void *)place;
    memset(place, 0, sizeof *place);
    if (strchr(text, '.')) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(atoi(port));
        inet_pton(AF_INET, text, &v4->sin_addr);
        return sizeof *v4;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(atoi(port));
    v6->sin6_addr = !strcmp(text, "any6") ? in6addr_any : in6addr_loopback;
    return sizeof *v6;
}

/* bind:TYPE:ADDRESS:PORT; the socket stays open */
static int bound(char **a)
{
    struct sockaddr_storage place;
    int length = address(&place, a[1], a[2]);
    int fd = socket(place.ss_family, type(a[0]), 0);
    int on = 1;
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return bind(fd, (void *)&place, length) ? -1 : fd;
}

static int try_bind(char **a)
{
    int fd = bound(a);
    return fd < 0 ? -1 : close(fd);
}

/* listen:ADDRESS:PORT */
static int try_listen(char **a)
{
    char *b[] = {"tcp", a[0], a[1]};
    int fd = bound(b);
    if (fd < 0)
        return -1;
    int result = listen(fd, 1);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

/* connect:TYPE:ADDRESS:PORT */
static int try_connect(char **a)
{
    struct sockaddr_storage place;
    int length = address(&place, a[1], a[2]);
    int fd = socket(place.ss_family, type(a[0]), 0);
    if (fd < 0)
        return -1;
    int result = connect(fd, (void *)&place, length);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

/* converse:PORT: listen on loopback, connect to it */
static int try_converse(char **a)
{
    char *b[] = {"tcp", "127.0.0.1", a[0]};
    int fd = bound(b);
    if (fd < 0 || listen(fd, 1))
        return -1;
    int result = try_connect(b);
    close(fd);
    return result;
}

/* connect-unix:PATH; an @ stands for an abstract name */
static int try_connect_unix(char **a)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    int length = offsetof(struct sockaddr_un, sun_path) + strlen(a[0]);
    strncpy(place.sun_path, a[0], sizeof place.sun_path - 1);
    if (a[0][0] == '@')
        place.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd < 0 ? -1 : connect(fd, (void *)&place, length);
}

/* interface:NAME: up or down */
static int try_interface(char **a)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    strncpy(request.ifr_name, a[0], IFNAMSIZ - 1);
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request))
        return -1;
    strcpy(answer, request.ifr_flags & IFF_UP ? "up" : "down");
    return 1;
}
