#include "base/wake.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

int wake_open(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        abort();
    return fd;
}

void wake_signal(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one); /* EAGAIN: already signalled */
    (void)n;
}

void wake_drain(int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n;
}
