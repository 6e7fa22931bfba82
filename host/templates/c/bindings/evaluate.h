// What the policy has to have: its word about one observation.
#ifndef BINDINGS_EVALUATE_H
#define BINDINGS_EVALUATE_H

#include "policy.h"

#ifdef __cplusplus
extern "C" {
#endif

// Writes a decision or a failure. Must depend on nothing but the observation and the settings.
void judge(const phasegate_policy_types_observation_t *seen,
           exports_phasegate_policy_evaluator_result_decision_failure_t *out);

#ifdef __cplusplus
}
#endif
#endif
