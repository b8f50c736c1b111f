#include "base/failpoint.h"

#ifdef LW_FAILPOINTS
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"

void failpoint_pass(const char *name)
{
    static _Atomic uint64_t passed;
    struct str armed = str_of(getenv("FAILPOINT")), at;
    uint64_t wanted = 1;
    (void)str_cut(&armed, ':', &at);
    if (!str_eq(at, str_of(name)))
        return;
    if (armed.n > 0)
        (void)!str_to_u64(armed, &wanted);
    if (atomic_fetch_add(&passed, 1) + 1 == wanted)
        (void)kill(getpid(), SIGKILL);
}
#endif
