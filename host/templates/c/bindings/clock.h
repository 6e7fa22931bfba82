// The time of the evaluation. A plugin that asks for it is of the world `timed-policy`, and is asked again also about
// what it has judged before; one that only includes this is not.
#ifndef BINDINGS_CLOCK_H
#define BINDINGS_CLOCK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Milliseconds since 1970 in UTC, the same during a whole call.
__attribute__((__import_module__("phasegate:policy/clock@1.0.0"), __import_name__("now-ms")))
extern uint64_t policy_now_ms(void);

#ifdef __cplusplus
}
#endif
#endif
