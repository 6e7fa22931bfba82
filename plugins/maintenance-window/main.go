// Upgrades stores while they are closed: by the opening hours in the labels of each instance and the
// time of the evaluation. Those that open again first go first.
package main

import (
	"fmt"
	"time"

	"policy.local/maintenance-window/clock"
	"policy.local/maintenance-window/contract"
)

func init() { contract.Use(&policy{}) }

func main() {}

type policy struct{ settings settings }

func (p *policy) Configure(text string) (err error) {
	p.settings, err = readSettings(text)
	return err
}

func (p *policy) Decide(seen *contract.Observation) (*contract.Decision, *contract.Failure) {
	answer := seen.Answer("health")
	if answer == nil {
		return nil, contract.Unsupported("there is no source `health`")
	}
	decision := &contract.Decision{Health: health(answer)}
	hours, err := p.hours(&seen.Instance)
	if err != nil {
		return nil, contract.Unsupported(err.Error())
	}
	p.place(decision, hours, clock.Now())
	return decision, nil
}

// health is what the status says; an open port is healthy, too.
func health(answer *contract.Answer) contract.Health {
	switch {
	case answer.Response == nil:
		return contract.Unknown
	case answer.Response.Status == 0, answer.Response.Status >= 200 && answer.Response.Status < 300:
		return contract.Healthy
	default:
		return contract.Unhealthy
	}
}

// place fills in whether the instance takes part now, and in which phase.
func (p *policy) place(decision *contract.Decision, hours *hours, now time.Time) {
	local := now.Add(hours.offset)
	at := local.Format("Mon 15:04")
	if hours.open(local) {
		decision.Participation = contract.Defer
		decision.Code, decision.Detail = "open", fmt.Sprintf("open until %s, local time %s", hours.closes, at)
		return
	}
	opening, known := hours.nextOpening(local)
	if !known {
		last := uint32(7 * 24 / p.settings.PhaseHours)
		decision.Phase = &last
		decision.Code, decision.Detail = "closed", fmt.Sprintf("closed for a week or more, local time %s", at)
		return
	}
	left := opening.Sub(local)
	phase := uint32(int(left.Hours()) / p.settings.PhaseHours)
	decision.Phase = &phase
	until := fmt.Sprintf("opens %s, in %d minutes, local time %s", opening.Format("Mon 15:04"), int(left.Minutes()), at)
	if left < time.Duration(p.settings.MinutesMin)*time.Minute {
		decision.Participation = contract.Defer
		decision.Code = "opens-soon"
		decision.Detail = fmt.Sprintf("%s (needs %d)", until, p.settings.MinutesMin)
		return
	}
	decision.Code, decision.Detail = "closed", until
}
