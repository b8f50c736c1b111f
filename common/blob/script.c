#include "blob/script.h"

#define X(name) extern const char lua_##name[];
SCRIPT_LIST(X)
#undef X

#define X(script) [SCRIPT_##script] = { #script, lua_##script },
const struct redis_script scripts[SCRIPT_N] = { SCRIPT_LIST(X) };
#undef X
