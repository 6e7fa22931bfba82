// The policy of @NAME@.
package main

import (
	"bytes"
	"fmt"
	"strings"

	"policy.local/@NAME@/contract"
)

func init() { contract.Use(policy{}) }

func main() {}

type policy struct{}

// Configure is called once for each new instance, before anything else. `settings` is JSON.
func (policy) Configure(settings string) error {
	if strings.TrimSpace(settings) != "{}" {
		return fmt.Errorf("@NAME@ has no settings, but was given %s", settings)
	}
	return nil
}

// Decide judges one observation; it must depend on nothing else.
func (policy) Decide(seen *contract.Observation) (*contract.Decision, *contract.Failure) {
	answer := seen.Answer("health")
	if answer == nil {
		return nil, contract.Unsupported("there is no source `health`")
	}
	if answer.Response == nil {
		return &contract.Decision{Health: contract.Unknown, Code: "no-answer", Detail: "it does not answer"}, nil
	}
	return judge(answer.Response), nil
}

func judge(response *contract.Response) *contract.Decision {
	first := uint32(0)
	if response.Status == 0 {
		// A TCP probe: all there is to know is that the port is open.
		return &contract.Decision{Health: contract.Healthy, Phase: &first, Code: "ok", Detail: "its port is open"}
	}
	if response.Status < 200 || response.Status > 299 {
		detail := fmt.Sprintf("HTTP status %d", response.Status)
		return &contract.Decision{Health: contract.Unhealthy, Code: "http-status", Detail: detail}
	}
	decision := &contract.Decision{Health: contract.Healthy, Phase: &first, Code: "ok", Detail: "it answers"}
	if bytes.HasPrefix(response.Body, []byte("busy")) {
		decision.Participation = contract.Defer
		decision.Code, decision.Detail = "busy", "it says that it is busy"
	}
	return decision
}
