/* wake.h - an eventfd: one thread says "look again", a loop that polls the fd wakes. */
#ifndef BASE_WAKE_H
#define BASE_WAKE_H

int wake_open(void);      /* aborts when no descriptor is left; close(2) it */
void wake_signal(int fd); /* any thread; never blocks */
void wake_drain(int fd);  /* the thread that polls */

#endif
