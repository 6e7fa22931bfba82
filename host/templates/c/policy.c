// The policy of @NAME@.
//
// Memory: texts and lists of an answer belong to the host, which frees them through the bindings.
// They must come from malloc, as `policy_string_dup` does it, and an empty one needs none.

#include <stdio.h>
#include <string.h>

#include "bindings/evaluate.h"

typedef phasegate_policy_types_observation_t observation;
typedef phasegate_policy_types_answer_t answer;
typedef phasegate_policy_types_response_t response;
typedef exports_phasegate_policy_evaluator_result_decision_failure_t result;

static bool is(policy_string_t text, const char *word) {
  return text.len == strlen(word) && memcmp(text.ptr, word, text.len) == 0;
}

static bool starts_with(policy_list_u8_t bytes, const char *word) {
  size_t length = strlen(word);
  return bytes.len >= length && memcmp(bytes.ptr, word, length) == 0;
}

// Fills in a decision without a phase that proceeds.
static phasegate_policy_types_decision_t *decide(result *out, uint8_t health, const char *code, const char *detail) {
  out->is_err = false;
  phasegate_policy_types_decision_t *decision = &out->val.ok;
  decision->health = health;
  decision->participation = PHASEGATE_POLICY_TYPES_PARTICIPATION_PROCEED;
  decision->reason.is_some = true;
  policy_string_dup(&decision->reason.val.code, code);
  policy_string_dup(&decision->reason.val.detail, detail);
  return decision;
}

static void in_phase(phasegate_policy_types_decision_t *decision, uint32_t phase) {
  decision->phase.is_some = true;
  decision->phase.val = phase;
}

static void judge_response(const response *seen, result *out) {
  if (seen->status == 0) {
    // A TCP probe: all there is to know is that the port is open.
    in_phase(decide(out, PHASEGATE_POLICY_TYPES_HEALTH_HEALTHY, "ok", "its port is open"), 0);
  } else if (seen->status < 200 || seen->status > 299) {
    char detail[32];
    snprintf(detail, sizeof detail, "HTTP status %u", (unsigned)seen->status);
    decide(out, PHASEGATE_POLICY_TYPES_HEALTH_UNHEALTHY, "http-status", detail);
  } else if (starts_with(seen->body, "busy")) {
    phasegate_policy_types_decision_t *decision =
        decide(out, PHASEGATE_POLICY_TYPES_HEALTH_HEALTHY, "busy", "it says that it is busy");
    decision->participation = PHASEGATE_POLICY_TYPES_PARTICIPATION_DEFER;
    in_phase(decision, 0);
  } else {
    in_phase(decide(out, PHASEGATE_POLICY_TYPES_HEALTH_HEALTHY, "ok", "it answers"), 0);
  }
}

// Its word about one observation, which must depend on nothing else.
void judge(const observation *seen, result *out) {
  for (size_t i = 0; i < seen->answers.len; i++) {
    const answer *answer = &seen->answers.ptr[i];
    if (!is(answer->source, "health")) continue;
    if (answer->outcome.is_err) {
      decide(out, PHASEGATE_POLICY_TYPES_HEALTH_UNKNOWN, "no-answer", "it does not answer");
    } else {
      judge_response(&answer->outcome.val.ok, out);
    }
    return;
  }
  out->is_err = true;
  out->val.err.tag = PHASEGATE_POLICY_TYPES_FAILURE_UNSUPPORTED;
  policy_string_dup(&out->val.err.val.unsupported, "there is no source `health`");
}

// Once for each new instance, before anything else. `settings` is JSON.
bool exports_phasegate_policy_evaluator_configure(policy_string_t *settings, policy_string_t *err) {
  if (is(*settings, "{}")) return true;
  policy_string_dup(err, "@NAME@ has no settings");
  return false;
}
