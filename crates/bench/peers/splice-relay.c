/*
 * splice-relay LISTEN TARGET [LISTEN TARGET ...]: what comes to a port of 127.0.0.1 goes to another one, and back.
 *
 * The yardstick of `cargo xtask bench`: nothing but splice(2) through pipes of 1 MiB, one thread for each direction of each
 * connection. It speaks no protocol, chooses nothing and keeps no account, so that a proxy can hardly cost less.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIPE = 1 << 20, BACKLOG = 4096, STACK = 64 << 10 };

/* One end of a connection; both directions use both, and the last one to end closes them. */
struct connection {
    int client, target;
    int directions;
    pthread_mutex_t lock;
};

struct direction {
    struct connection *connection;
    int from, to;
};

struct listener {
    int socket;
    struct sockaddr_in target;
};

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void release(struct connection *connection) {
    pthread_mutex_lock(&connection->lock);
    int last = --connection->directions == 0;
    pthread_mutex_unlock(&connection->lock);
    if (last) {
        close(connection->client);
        close(connection->target);
        pthread_mutex_destroy(&connection->lock);
        free(connection);
    }
}

/* Moves what is there until the end or an error. */
static void move(int from, int to) {
    int pipe[2];
    if (pipe2(pipe, O_CLOEXEC) != 0) return;
    /* Smaller where the system allows no more. */
    fcntl(pipe[1], F_SETPIPE_SZ, PIPE);
    ssize_t taken;
    while ((taken = splice(from, NULL, pipe[1], NULL, PIPE, SPLICE_F_MOVE)) > 0) {
        while (taken > 0) {
            ssize_t given = splice(pipe[0], NULL, to, NULL, taken, SPLICE_F_MOVE);
            if (given <= 0) goto end;
            taken -= given;
        }
    }
end:
    close(pipe[0]);
    close(pipe[1]);
}

static void *run(void *argument) {
    struct direction direction = *(struct direction *)argument;
    free(argument);
    move(direction.from, direction.to);
    shutdown(direction.to, SHUT_WR);
    shutdown(direction.from, SHUT_RD);
    release(direction.connection);
    return NULL;
}

static void start(void *(*work)(void *), void *argument) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK);
    if (pthread_create(&thread, &attributes, work, argument) != 0) fail("pthread_create");
    pthread_attr_destroy(&attributes);
}

static void start_direction(struct connection *connection, int from, int to) {
    struct direction *direction = malloc(sizeof *direction);
    if (direction == NULL) fail("malloc");
    *direction = (struct direction){ connection, from, to };
    start(run, direction);
}

static void connect_both(int client, const struct sockaddr_in *target) {
    int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (far < 0) fail("socket");
    if (connect(far, (const struct sockaddr *)target, sizeof *target) != 0) {
        close(far);
        close(client);
        return;
    }
    int on = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct connection *connection = malloc(sizeof *connection);
    if (connection == NULL) fail("malloc");
    connection->client = client;
    connection->target = far;
    connection->directions = 2;
    pthread_mutex_init(&connection->lock, NULL);
    start_direction(connection, client, far);
    start_direction(connection, far, client);
}

static void *serve(void *argument) {
    struct listener *listener = argument;
    for (;;) {
        int client = accept4(listener->socket, NULL, NULL, SOCK_CLOEXEC);
        if (client >= 0) connect_both(client, &listener->target);
    }
    return NULL;
}

static struct sockaddr_in loopback(const char *port) {
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((unsigned short)atoi(port));
    return address;
}

int main(int count, char **arguments) {
    if (count < 3 || count % 2 == 0) {
        fprintf(stderr, "usage: splice-relay LISTEN TARGET [LISTEN TARGET ...]\n");
        return 64;
    }
    signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i < count; i += 2) {
        struct listener *listener = malloc(sizeof *listener);
        if (listener == NULL) fail("malloc");
        struct sockaddr_in address = loopback(arguments[i]);
        listener->target = loopback(arguments[i + 1]);
        listener->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (listener->socket < 0) fail("socket");
        if (bind(listener->socket, (struct sockaddr *)&address, sizeof address) != 0) fail("bind");
        if (listen(listener->socket, BACKLOG) != 0) fail("listen");
        start(serve, listener);
    }
    for (;;) pause();
}
