package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings come from the configuration of the host; see the README.
type settings struct {
	OpensLabel, ClosesLabel, OffsetLabel, ClosedLabel string
	MinutesMin, PhaseHours                            int

	offset   time.Duration
	holidays map[string]bool
}

// member reads the value of one setting; an error says what was expected.
type member func(raw json.RawMessage) error

func (s *settings) members() map[string]member {
	return map[string]member{
		"opensLabel":           label(&s.OpensLabel),
		"closesLabel":          label(&s.ClosesLabel),
		"offsetLabel":          label(&s.OffsetLabel),
		"closedLabel":          label(&s.ClosedLabel),
		"utcOffset":            s.readOffset,
		"minutesBeforeOpening": whole(&s.MinutesMin, 0, 1440),
		"hoursPerPhase":        whole(&s.PhaseHours, 1, 168),
		"holidays":             s.readHolidays,
	}
}

// readSettings takes a map and not a struct: Go would also accept a struct's names in another case.
func readSettings(text string) (settings, error) {
	read := settings{
		OpensLabel: "opens", ClosesLabel: "closes", OffsetLabel: "utc-offset", ClosedLabel: "closed-days",
		MinutesMin: 60, PhaseHours: 1,
	}
	var typed map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &typed); err != nil || typed == nil {
		return read, fmt.Errorf("the settings are %s, expected an object", short(text))
	}
	members := read.members()
	for _, name := range sorted(typed) {
		member, known := members[name]
		if !known {
			return read, fmt.Errorf("`%s` is no setting; known are %s", name, strings.Join(sorted(members), ", "))
		}
		if err := member(typed[name]); err != nil {
			return read, fmt.Errorf("`%s` is %s, expected %w", name, short(string(typed[name])), err)
		}
	}
	return read, nil
}

func sorted[T any](of map[string]T) []string {
	names := make([]string, 0, len(of))
	for name := range of {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func short(value string) string {
	if runes := []rune(value); len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return value
}

// quoted reads a text; Go takes null for an empty one.
func quoted(raw json.RawMessage) (string, bool) {
	var text *string
	err := json.Unmarshal(raw, &text)
	if err != nil || text == nil {
		return "", false
	}
	return *text, true
}

func label(to *string) member {
	return func(raw json.RawMessage) error {
		text, is := quoted(raw)
		if !is || text == "" || len(text) > 128 {
			return fmt.Errorf("the name of a label, 1 to 128 letters")
		}
		*to = text
		return nil
	}
}

func whole(to *int, low, high int) member {
	return func(raw json.RawMessage) error {
		value, err := strconv.Atoi(string(raw))
		if err != nil || value < low || value > high {
			return fmt.Errorf("a whole number from %d to %d", low, high)
		}
		*to = value
		return nil
	}
}

func (s *settings) readOffset(raw json.RawMessage) error {
	text, is := quoted(raw)
	offset, err := parseOffset(text)
	if !is || err != nil {
		return fmt.Errorf("an offset from \"-14:00\" to \"+14:00\"")
	}
	s.offset = offset
	return nil
}

func (s *settings) readHolidays(raw json.RawMessage) error {
	var days []json.RawMessage
	if err := json.Unmarshal(raw, &days); err != nil || days == nil || len(days) > 366 {
		return fmt.Errorf("a list of at most 366 dates")
	}
	s.holidays = make(map[string]bool, len(days))
	for _, each := range days {
		day, is := quoted(each)
		if _, err := time.Parse(time.DateOnly, day); !is || err != nil {
			return fmt.Errorf("dates such as \"2026-12-25\", and not %s", short(string(each)))
		}
		s.holidays[day] = true
	}
	return nil
}
