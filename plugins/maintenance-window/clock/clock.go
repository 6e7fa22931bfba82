//go:build wasip1

// Package clock has the time of the evaluation. A policy that uses it is not pure: its answers are
// not kept. `time.Now` always shows 1970.
package clock

import "time"

//go:wasmimport phasegate:policy/clock@1.0.0 now-ms
func nowMs() uint64

// Now is the same for every call within one evaluation.
func Now() time.Time { return time.UnixMilli(int64(nowMs())).UTC() }
