/* failpoint.h - places where a test build dies on purpose, one between any two outside effects.
 *
 *   FAILPOINT("recognizer.called"); the answer is here and not stored
 *
 * Built with LW_FAILPOINTS, and started with FAILPOINT=recognizer.called:3 in its environment,
 * the process kills itself, as kill -9 would, when it passes that place the third time (without
 * a number: the first time).  Built without, nothing is left of it.
 * Any thread.
 */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#ifdef LW_FAILPOINTS
void failpoint_pass(const char *name);
#define FAILPOINT(name) failpoint_pass(name)
#else
#define FAILPOINT(name) ((void)0)
#endif

#endif
