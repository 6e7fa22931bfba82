package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"policy.local/maintenance-window/contract"
)

// minute of a day, 0 to 1440: a store that closes at midnight closes at 24:00.
type minute int

func (m minute) String() string { return fmt.Sprintf("%02d:%02d", int(m)/60, int(m)%60) }

// hours are the opening hours of one store, in its local time. Closing before opening means that it
// closes on the day after.
type hours struct {
	opens, closes minute
	offset        time.Duration
	closedDays    map[time.Weekday]bool
	holidays      map[string]bool
}

func (p *policy) hours(instance *contract.Instance) (*hours, error) {
	read := &hours{offset: p.settings.offset, holidays: p.settings.holidays, closedDays: map[time.Weekday]bool{}}
	for _, each := range []struct {
		label string
		to    *minute
	}{{p.settings.OpensLabel, &read.opens}, {p.settings.ClosesLabel, &read.closes}} {
		text, found := instance.Label(each.label)
		if !found {
			return nil, fmt.Errorf("the instance has no label `%s`", each.label)
		}
		value, err := parseMinute(text)
		if err != nil {
			return nil, fmt.Errorf("label `%s` %w", each.label, err)
		}
		*each.to = value
	}
	if text, found := instance.Label(p.settings.OffsetLabel); found {
		offset, err := parseOffset(text)
		if err != nil {
			return nil, fmt.Errorf("label `%s` %w", p.settings.OffsetLabel, err)
		}
		read.offset = offset
	}
	if text, found := instance.Label(p.settings.ClosedLabel); found {
		for _, name := range strings.Split(text, ",") {
			day, err := parseDay(strings.TrimSpace(name))
			if err != nil {
				return nil, fmt.Errorf("label `%s` %w", p.settings.ClosedLabel, err)
			}
			read.closedDays[day] = true
		}
	}
	return read, nil
}

func (h *hours) closedOn(day time.Time) bool {
	return h.closedDays[day.Weekday()] || h.holidays[day.Format(time.DateOnly)]
}

// open says whether the store is open at a local time.
func (h *hours) open(local time.Time) bool {
	now := minute(local.Hour()*60 + local.Minute())
	if h.opens == h.closes {
		// Around the clock.
		return !h.closedOn(local)
	}
	if h.opens < h.closes {
		return !h.closedOn(local) && now >= h.opens && now < h.closes
	}
	yesterday := local.AddDate(0, 0, -1)
	return (!h.closedOn(local) && now >= h.opens) || (!h.closedOn(yesterday) && now < h.closes)
}

// nextOpening is the first opening after a local time, within eight days.
func (h *hours) nextOpening(local time.Time) (time.Time, bool) {
	midnight := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC)
	for days := 0; days <= 7; days++ {
		day := midnight.AddDate(0, 0, days)
		opening := day.Add(time.Duration(h.opens) * time.Minute)
		if !h.closedOn(day) && opening.After(local) {
			return opening, true
		}
	}
	return time.Time{}, false
}

var errMinute = errors.New("is no time such as 09:30 (00:00 to 24:00)")

func parseMinute(text string) (minute, error) {
	if len(text) != 5 || text[2] != ':' {
		return 0, errMinute
	}
	for _, at := range []int{0, 1, 3, 4} {
		if text[at] < '0' || text[at] > '9' {
			return 0, errMinute
		}
	}
	value := minute(int(text[0]-'0')*600 + int(text[1]-'0')*60 + int(text[3]-'0')*10 + int(text[4]-'0'))
	if text[3] > '5' || value > 1440 {
		return 0, errMinute
	}
	return value, nil
}

func parseOffset(text string) (time.Duration, error) {
	if text == "Z" {
		return 0, nil
	}
	if len(text) != 6 || (text[0] != '+' && text[0] != '-') {
		return 0, fmt.Errorf("is %q, expected an offset such as +02:00", text)
	}
	value, err := parseMinute(text[1:])
	if err != nil || value > 14*60 {
		return 0, fmt.Errorf("is %q, expected an offset from -14:00 to +14:00", text)
	}
	offset := time.Duration(value) * time.Minute
	if text[0] == '-' {
		offset = -offset
	}
	return offset, nil
}

func parseDay(name string) (time.Weekday, error) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if strings.EqualFold(name, day.String()[:3]) {
			return day, nil
		}
	}
	return 0, fmt.Errorf("has %q, expected days such as sat,sun", name)
}
