// Package contract is wit/policy.wit in Go: types, and the two functions that the host calls.
//
// The layouts are those of the canonical ABI. A new version of this file comes with a new major
// version of the contract; until then it needs no change.
package contract

// Health is what the plugin claims about an instance. There is none by default: a decision without
// health is a failed evaluation.
type Health uint8

const (
	// Healthy: the application works.
	Healthy Health = iota + 1
	// Unhealthy: the application says that it does not work.
	Unhealthy
	// Unknown: it could not be found out.
	Unknown
)

// Participation says whether an instance takes part in an upgrade.
type Participation uint8

const (
	// Proceed: upgrade it in its phase.
	Proceed Participation = iota
	// Skip: leave it out of this upgrade.
	Skip
	// Defer: not now; ask again before its batch.
	Defer
)

// Pair is a name and a value.
type Pair struct{ Name, Value string }

// Instance is one member of a scale set. What the configuration does not give is nil.
type Instance struct {
	ID, ScaleSet              string
	Region, Zone              *string
	FaultDomain, UpdateDomain *uint32
	Version, DesiredVersion   *string
	// Labels are sorted by name.
	Labels []Pair
}

// Label gives a label and whether there is one.
func (i *Instance) Label(name string) (string, bool) {
	for _, pair := range i.Labels {
		if pair.Name == name {
			return pair.Value, true
		}
	}
	return "", false
}

// Response is a complete HTTP response; status 0 for a TCP connection that opened.
type Response struct {
	Status  uint16
	Headers []Pair
	Body    []byte
}

// FailureKind says why a probe brought no response.
type FailureKind uint8

const (
	// Timeout: no complete answer in time.
	Timeout FailureKind = iota
	// Unreachable: refused, reset or not routable.
	Unreachable
	// TLS: the handshake failed.
	TLS
	// InvalidResponse: no valid HTTP.
	InvalidResponse
	// BodyTooLarge: longer than the cap, which is Cap.
	BodyTooLarge
)

// ProbeFailure is why a probe brought no response.
type ProbeFailure struct {
	Kind   FailureKind
	Detail string
	Cap    uint64
}

// Answer is what one source answered: a response or a failure.
type Answer struct {
	Source   string
	Response *Response
	Failure  *ProbeFailure
}

// Observation is everything that a decision may depend on.
type Observation struct {
	Instance   Instance
	Answers    []Answer
	Memory     []byte
	Attributes []Pair
}

// Answer gives the answer of a source, or nil.
func (o *Observation) Answer(source string) *Answer {
	for i := range o.Answers {
		if o.Answers[i].Source == source {
			return &o.Answers[i]
		}
	}
	return nil
}

// Decision is the answer for one observation.
type Decision struct {
	Health        Health
	Phase         *uint32
	Participation Participation
	// Code is a stable word, Detail one line for people.
	Code, Detail string
	// Memory is handed back with the next observation of this instance; nothing else survives.
	Memory     []byte
	Attributes []Pair
}

// Failure says that an observation could not be judged. Make one with Unreadable, Unsupported or
// Internal.
type Failure struct {
	kind   uint8
	detail string
}

// Error is the text.
func (f *Failure) Error() string { return f.detail }

// Unreadable: the application's answer makes no sense.
func Unreadable(detail string) *Failure { return &Failure{0, detail} }

// Unsupported: understood, but not handled.
func Unsupported(detail string) *Failure { return &Failure{1, detail} }

// Internal: the plugin itself went wrong.
func Internal(detail string) *Failure { return &Failure{2, detail} }

// Policy is what the author writes.
type Policy interface {
	// Configure is called once for each new instance. An error refuses the settings (JSON).
	Configure(settings string) error
	// Decide judges one observation.
	Decide(seen *Observation) (*Decision, *Failure)
}

// Use sets the policy; call it from an init function.
func Use(policy Policy) { chosen = policy }

var chosen Policy

// Level is how much a log line matters.
type Level uint8

const (
	Debug Level = iota
	Info
	Warn
	Error
)
