//go:build !wasip1

package contract

import "fmt"

// Log writes one line; here, on the author's machine, to stdout.
func Log(level Level, line string) { fmt.Println(level, line) }
