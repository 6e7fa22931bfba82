// The policy of @NAME@.
//
// Memory: texts and lists of an answer belong to the host, which frees them through the bindings. They must come from
// malloc, as `text` makes them, and an empty one needs none. There are no exceptions: a policy that cannot judge says so
// with `fail`.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "bindings/evaluate.h"

namespace {

using Observation = phasegate_policy_types_observation_t;
using Answer = phasegate_policy_types_answer_t;
using Response = phasegate_policy_types_response_t;
using Decision = phasegate_policy_types_decision_t;
using Result = exports_phasegate_policy_evaluator_result_decision_failure_t;

template <typename List> std::string_view view(const List &seen) {
  return {reinterpret_cast<const char *>(seen.ptr), seen.len};
}

policy_string_t text(std::string_view words) {
  if (words.empty()) return {nullptr, 0};
  auto *copy = static_cast<uint8_t *>(std::malloc(words.size()));
  if (copy == nullptr) std::abort();
  std::memcpy(copy, words.data(), words.size());
  return {copy, words.size()};
}

// Fills in a decision without a phase that proceeds.
Decision &decide(Result &out, uint8_t health, std::string_view code, std::string_view detail) {
  out.is_err = false;
  Decision &decision = out.val.ok;
  decision = {};
  decision.health = health;
  decision.participation = PHASEGATE_POLICY_TYPES_PARTICIPATION_PROCEED;
  decision.reason = {true, {text(code), text(detail)}};
  return decision;
}

void fail(Result &out, uint8_t kind, std::string_view why) {
  out.is_err = true;
  out.val.err.tag = kind;
  out.val.err.val.internal = text(why);
}

void judge_response(const Response &seen, Result &out) {
  if (seen.status == 0) {
    // A TCP probe: all there is to know is that the port is open.
    decide(out, PHASEGATE_POLICY_TYPES_HEALTH_HEALTHY, "ok", "its port is open").phase = {true, 0};
  } else if (seen.status < 200 || seen.status > 299) {
    const std::string detail = "HTTP status " + std::to_string(seen.status);
    decide(out, PHASEGATE_POLICY_TYPES_HEALTH_UNHEALTHY, "http-status", detail);
  } else if (view(seen.body).starts_with("busy")) {
    Decision &decision = decide(out, PHASEGATE_POLICY_TYPES_HEALTH_HEALTHY, "busy", "it says that it is busy");
    decision.participation = PHASEGATE_POLICY_TYPES_PARTICIPATION_DEFER;
    decision.phase = {true, 0};
  } else {
    decide(out, PHASEGATE_POLICY_TYPES_HEALTH_HEALTHY, "ok", "it answers").phase = {true, 0};
  }
}

} // namespace

// Its word about one observation, which must depend on nothing else.
void judge(const Observation *seen, Result *out) {
  for (const Answer &answer : std::span(seen->answers.ptr, seen->answers.len)) {
    if (view(answer.source) != "health") continue;
    if (answer.outcome.is_err) {
      decide(*out, PHASEGATE_POLICY_TYPES_HEALTH_UNKNOWN, "no-answer", "it does not answer");
    } else {
      judge_response(answer.outcome.val.ok, *out);
    }
    return;
  }
  fail(*out, PHASEGATE_POLICY_TYPES_FAILURE_UNSUPPORTED, "there is no source `health`");
}

// Once for each new instance, before anything else. `settings` is JSON.
bool exports_phasegate_policy_evaluator_configure(policy_string_t *settings, policy_string_t *err) {
  if (view(*settings) == "{}") return true;
  *err = text("@NAME@ has no settings");
  return false;
}
