//go:build wasip1

package contract

import (
	"fmt"
	"strings"
	"unsafe"
)

// A pointer of the guest: 32 bits, whatever size Go's own pointers have.
type pointer uint32

func address(at pointer) unsafe.Pointer { return unsafe.Pointer(uintptr(at)) }

func load8(at pointer) uint8   { return *(*uint8)(address(at)) }
func load16(at pointer) uint16 { return *(*uint16)(address(at)) }
func load32(at pointer) uint32 { return *(*uint32)(address(at)) }
func load64(at pointer) uint64 { return *(*uint64)(address(at)) }

func store8(at pointer, value uint8)   { *(*uint8)(address(at)) = value }
func store32(at pointer, value uint32) { *(*uint32)(address(at)) = value }

// What the host wrote through cabi_realloc, and what it shall read: held until the call is over.
var held = map[pointer][]byte{}

func allocate(size, align uint32) pointer {
	if size == 0 {
		return pointer(align)
	}
	block := make([]byte, size+align)
	at := pointer(uintptr(unsafe.Pointer(&block[0])))
	at = (at + pointer(align) - 1) &^ (pointer(align) - 1)
	held[at] = block
	return at
}

//go:wasmexport cabi_realloc
func realloc(old pointer, oldSize, align, size uint32) pointer {
	at := allocate(size, align)
	if oldSize > 0 {
		copy(unsafe.Slice((*byte)(address(at)), size), unsafe.Slice((*byte)(address(old)), oldSize))
	}
	return at
}

func release() { clear(held) }

func text(at pointer) string { return string(bytes(at)) }

// bytes copies a list of bytes, so that nothing refers to the host's block afterwards.
func bytes(at pointer) []byte {
	length := load32(at + 4)
	if length == 0 {
		return []byte{}
	}
	return append([]byte(nil), unsafe.Slice((*byte)(address(pointer(load32(at)))), length)...)
}

func optionalText(at pointer) *string {
	if load8(at) == 0 {
		return nil
	}
	value := text(at + 4)
	return &value
}

func optionalNumber(at pointer) *uint32 {
	if load8(at) == 0 {
		return nil
	}
	value := load32(at + 4)
	return &value
}

func list[T any](at pointer, size pointer, read func(pointer) T) []T {
	first, length := pointer(load32(at)), load32(at+4)
	values := make([]T, 0, length)
	for i := pointer(0); i < pointer(length); i++ {
		values = append(values, read(first+i*size))
	}
	return values
}

func pairs(at pointer) []Pair {
	return list(at, 16, func(at pointer) Pair { return Pair{text(at), text(at + 8)} })
}

func readObservation(at pointer) Observation {
	seen := Observation{
		Instance: Instance{
			ID: text(at), ScaleSet: text(at + 8),
			Region: optionalText(at + 16), Zone: optionalText(at + 28),
			FaultDomain: optionalNumber(at + 40), UpdateDomain: optionalNumber(at + 48),
			Version: optionalText(at + 56), DesiredVersion: optionalText(at + 68),
			Labels: pairs(at + 80),
		},
		Answers:    list(at+88, 40, readAnswer),
		Attributes: pairs(at + 108),
	}
	if load8(at+96) != 0 {
		seen.Memory = bytes(at + 100)
	}
	return seen
}

func readAnswer(at pointer) Answer {
	answer := Answer{Source: text(at)}
	if load8(at+8) == 0 {
		answer.Response = &Response{Status: load16(at + 16), Headers: pairs(at + 20), Body: bytes(at + 28)}
		return answer
	}
	failure := &ProbeFailure{Kind: FailureKind(load8(at + 16))}
	switch failure.Kind {
	case Unreachable, TLS, InvalidResponse:
		failure.Detail = text(at + 24)
	case BodyTooLarge:
		failure.Cap = load64(at + 24)
	}
	answer.Failure = failure
	return answer
}

func writeBytes(at pointer, value []byte) {
	to := allocate(uint32(len(value)), 1)
	if len(value) > 0 {
		copy(unsafe.Slice((*byte)(address(to)), len(value)), value)
	}
	store32(at, uint32(to))
	store32(at+4, uint32(len(value)))
}

// The host refuses a whole batch for one text that is no UTF-8.
func writeText(at pointer, value string) {
	writeBytes(at, []byte(strings.ToValidUTF8(value, "\uFFFD")))
}

func writeFailure(at pointer, failure *Failure) {
	store8(at, 1)
	store8(at+4, failure.kind)
	writeText(at+8, failure.detail)
}

func writeDecision(at pointer, decision *Decision) {
	store8(at+4, uint8(decision.Health-Healthy))
	if decision.Phase != nil {
		store8(at+8, 1)
		store32(at+12, *decision.Phase)
	}
	store8(at+16, uint8(decision.Participation))
	if decision.Code != "" {
		store8(at+20, 1)
		writeText(at+24, decision.Code)
		writeText(at+32, decision.Detail)
	}
	if decision.Memory != nil {
		store8(at+40, 1)
		writeBytes(at+44, decision.Memory)
	}
	to := allocate(uint32(len(decision.Attributes))*16, 4)
	for i, pair := range decision.Attributes {
		writeText(to+pointer(i)*16, pair.Name)
		writeText(to+pointer(i)*16+8, pair.Value)
	}
	store32(at+52, uint32(to))
	store32(at+56, uint32(len(decision.Attributes)))
}

//go:wasmexport phasegate:policy/evaluator@1.0.0#configure
func configure(at pointer, length uint32) pointer {
	settings := ""
	if length > 0 {
		settings = string(unsafe.Slice((*byte)(address(at)), length))
	}
	result := allocate(12, 4)
	store8(result, 0)
	if err := chosen.Configure(settings); err != nil {
		store8(result, 1)
		writeText(result+4, err.Error())
	}
	return result
}

//go:wasmexport cabi_post_phasegate:policy/evaluator@1.0.0#configure
func afterConfigure(pointer) { release() }

//go:wasmexport phasegate:policy/evaluator@1.0.0#evaluate
func evaluate(at pointer, length uint32) pointer {
	results := allocate(length*60, 4)
	if length > 0 {
		clear(unsafe.Slice((*byte)(address(results)), length*60))
	}
	for i := pointer(0); i < pointer(length); i++ {
		seen := readObservation(at + i*116)
		decision, failure := judge(&seen)
		if failure != nil {
			writeFailure(results+i*60, failure)
		} else {
			writeDecision(results+i*60, decision)
		}
	}
	area := allocate(8, 4)
	store32(area, uint32(results))
	store32(area+4, length)
	return area
}

// judge makes a panic a failure of the one observation that caused it.
func judge(seen *Observation) (decision *Decision, failure *Failure) {
	defer func() {
		if cause := recover(); cause != nil {
			failure = Internal(fmt.Sprint("panic: ", cause))
		}
	}()
	decision, failure = chosen.Decide(seen)
	if failure == nil {
		failure = fault(decision)
	}
	return decision, failure
}

// fault says what the host would refuse, or take for a health that nobody claimed.
func fault(decision *Decision) *Failure {
	switch {
	case decision == nil:
		return Internal("the policy wrote no decision for this observation")
	case decision.Health < Healthy || decision.Health > Unknown:
		return Internal(fmt.Sprintf("the decision has health %d; expected Healthy, Unhealthy or Unknown", decision.Health))
	case decision.Participation > Defer:
		return Internal(fmt.Sprintf("the decision has participation %d; expected Proceed, Skip or Defer", decision.Participation))
	}
	return nil
}

//go:wasmexport cabi_post_phasegate:policy/evaluator@1.0.0#evaluate
func afterEvaluate(pointer) { release() }

//go:wasmimport phasegate:policy/log@1.0.0 write
func write(level uint32, at unsafe.Pointer, length uint32)

// Log writes one line to the host's log.
func Log(level Level, line string) {
	if line == "" {
		return
	}
	write(uint32(level), unsafe.Pointer(unsafe.StringData(line)), uint32(len(line)))
}
