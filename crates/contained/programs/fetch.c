/* Prints the page of a host, or why there is none. The suite links it statically, with musl. */

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int failed(const char *what) {
    printf("%s\n", what);
    return 1;
}

int main(int count, char **arguments) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses, *next;
    char bytes[4096];
    ssize_t length;
    int error, stream = -1;

    if (count != 2) return failed("usage: fetch HOST");
    error = getaddrinfo(arguments[1], "80", &hints, &addresses);
    if (error) return failed(gai_strerror(error));
    for (next = addresses; next && stream < 0; next = next->ai_next) {
        stream = socket(next->ai_family, next->ai_socktype, next->ai_protocol);
        if (stream >= 0 && connect(stream, next->ai_addr, next->ai_addrlen)) {
            error = errno;
            close(stream);
            stream = -1;
        }
    }
    if (stream < 0) return failed(strerror(error));
    if (dprintf(stream, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", arguments[1]) < 0) return failed(strerror(errno));
    while ((length = read(stream, bytes, sizeof bytes)) > 0) fwrite(bytes, 1, length, stdout);
    return length < 0 ? failed(strerror(errno)) : 0;
}
