// Hands each observation of a batch to the policy.
#include <stdlib.h>

#include "evaluate.h"

void exports_phasegate_policy_evaluator_evaluate(exports_phasegate_policy_evaluator_list_observation_t *batch,
                                                 exports_phasegate_policy_evaluator_list_result_decision_failure_t *ret) {
  ret->len = batch->len;
  ret->ptr = calloc(batch->len, sizeof(ret->ptr[0]));
  if (batch->len > 0 && ret->ptr == NULL) abort();
  for (size_t i = 0; i < batch->len; i++) {
    // Zeroes would say healthy and proceed, so a result that nobody writes is a failure from the beginning.
    ret->ptr[i].is_err = true;
    ret->ptr[i].val.err.tag = PHASEGATE_POLICY_TYPES_FAILURE_INTERNAL;
    judge(&batch->ptr[i], &ret->ptr[i]);
    // Still without a text: it was not written.
    if (ret->ptr[i].is_err && ret->ptr[i].val.err.val.internal.len == 0) {
      policy_string_dup(&ret->ptr[i].val.err.val.internal, "the policy wrote no decision for this observation");
    }
  }
  exports_phasegate_policy_evaluator_list_observation_free(batch);
}
