// Judges an instance by one gauge of a Prometheus text page: above one limit it is asked again
// later, above another it is unhealthy. Needs neither a JSON nor a regular expression library.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/policy.h"
#include "page.h"
#include "settings.h"

typedef phasegate_policy_types_observation_t observation;
typedef exports_phasegate_policy_evaluator_result_decision_failure_t result;
typedef phasegate_policy_types_decision_t decision;

static settings chosen;

static bool is(policy_string_t text, const char *word) {
  return text.len == strlen(word) && memcmp(text.ptr, word, text.len) == 0;
}

static decision *decide(result *out, uint8_t health, uint8_t participation, const char *code, const char *detail) {
  out->is_err = false;
  decision *made = &out->val.ok;
  made->health = health;
  made->participation = participation;
  made->reason.is_some = true;
  policy_string_dup(&made->reason.val.code, code);
  policy_string_dup(&made->reason.val.detail, detail);
  return made;
}

static void fail(result *out, uint8_t kind, const char *detail) {
  out->is_err = true;
  out->val.err.tag = kind;
  // All kinds carry their text at the same place.
  policy_string_dup(&out->val.err.val.unreadable, detail);
}

static void judge_value(double value, result *out) {
  char detail[192];
  decision *made;
  if (isnan(value)) {
    snprintf(detail, sizeof detail, "%.64s is NaN", chosen.metric);
    fail(out, PHASEGATE_POLICY_TYPES_FAILURE_UNREADABLE, detail);
    return;
  }
  if (value > chosen.unhealthy_above) {
    snprintf(detail, sizeof detail, "%.64s is %.9g (limit %.9g)", chosen.metric, value, chosen.unhealthy_above);
    made = decide(out, PHASEGATE_POLICY_TYPES_HEALTH_UNHEALTHY, PHASEGATE_POLICY_TYPES_PARTICIPATION_PROCEED,
                  "gauge-unhealthy", detail);
  } else if (value > chosen.defer_above) {
    snprintf(detail, sizeof detail, "%.64s is %.9g (limit %.9g)", chosen.metric, value, chosen.defer_above);
    made = decide(out, PHASEGATE_POLICY_TYPES_HEALTH_HEALTHY, PHASEGATE_POLICY_TYPES_PARTICIPATION_DEFER,
                  "gauge-high", detail);
  } else {
    snprintf(detail, sizeof detail, "%.64s is %.9g", chosen.metric, value);
    made = decide(out, PHASEGATE_POLICY_TYPES_HEALTH_HEALTHY, PHASEGATE_POLICY_TYPES_PARTICIPATION_PROCEED,
                  "gauge-low", detail);
  }
  if (chosen.has_phase) {
    made->phase.is_some = true;
    made->phase.val = chosen.phase;
  }
}

static void judge_response(const phasegate_policy_types_response_t *seen, result *out) {
  char detail[192];
  double value;
  size_t number;
  const struct wanted wanted = {chosen.metric, chosen.label_name, strlen(chosen.label_name), chosen.label_value,
                                strlen(chosen.label_value)};
  if (seen->status == 0) {
    fail(out, PHASEGATE_POLICY_TYPES_FAILURE_UNSUPPORTED, "a TCP probe brings no page; probe with http or https");
    return;
  }
  if (seen->status < 200 || seen->status > 299) {
    snprintf(detail, sizeof detail, "HTTP status %u", (unsigned)seen->status);
    decide(out, PHASEGATE_POLICY_TYPES_HEALTH_UNHEALTHY, PHASEGATE_POLICY_TYPES_PARTICIPATION_DEFER, "http-status",
           detail);
    return;
  }
  switch (page_find((const char *)seen->body.ptr, seen->body.len, &wanted, &value, &number)) {
    case PAGE_FOUND:
      judge_value(value, out);
      return;
    case PAGE_MALFORMED:
      snprintf(detail, sizeof detail, "line %zu of the page could be %.64s and is no sample", number, chosen.metric);
      break;
    case PAGE_ABSENT:
      snprintf(detail, sizeof detail, "the page has no %.64s%s%.64s", chosen.metric, chosen.label[0] ? " with " : "",
               chosen.label);
      break;
  }
  fail(out, PHASEGATE_POLICY_TYPES_FAILURE_UNREADABLE, detail);
}

static void judge(const observation *seen, result *out) {
  for (size_t i = 0; i < seen->answers.len; i++) {
    const phasegate_policy_types_answer_t *answer = &seen->answers.ptr[i];
    if (!is(answer->source, "health")) continue;
    if (answer->outcome.is_err) {
      decide(out, PHASEGATE_POLICY_TYPES_HEALTH_UNKNOWN, PHASEGATE_POLICY_TYPES_PARTICIPATION_DEFER, "no-answer",
             "it does not answer");
    } else {
      judge_response(&answer->outcome.val.ok, out);
    }
    return;
  }
  fail(out, PHASEGATE_POLICY_TYPES_FAILURE_UNSUPPORTED, "there is no source `health`");
}

// Zeroes would say healthy and proceed, so a result that nobody writes is a failure from the beginning.
static void judge_or_fail(const observation *seen, result *out) {
  out->is_err = true;
  out->val.err.tag = PHASEGATE_POLICY_TYPES_FAILURE_INTERNAL;
  judge(seen, out);
  // Still without a text: it was not written.
  if (out->is_err && out->val.err.val.internal.len == 0) {
    policy_string_dup(&out->val.err.val.internal, "the policy wrote no decision for this observation");
  }
}

bool exports_phasegate_policy_evaluator_configure(policy_string_t *text, policy_string_t *err) {
  char why[160];
  if (settings_read((const char *)text->ptr, text->len, &chosen, why, sizeof why)) return true;
  policy_string_dup(err, why);
  return false;
}

void exports_phasegate_policy_evaluator_evaluate(exports_phasegate_policy_evaluator_list_observation_t *batch,
                                                 exports_phasegate_policy_evaluator_list_result_decision_failure_t *ret) {
  ret->len = batch->len;
  ret->ptr = calloc(batch->len, sizeof(result));
  if (batch->len > 0 && ret->ptr == NULL) abort();
  for (size_t i = 0; i < batch->len; i++) judge_or_fail(&batch->ptr[i], &ret->ptr[i]);
  exports_phasegate_policy_evaluator_list_observation_free(batch);
}
