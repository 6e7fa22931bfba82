// Finds a sample in a page of the Prometheus text format.
#pragma once

#include <stddef.h>

enum page_found { PAGE_FOUND, PAGE_ABSENT, PAGE_MALFORMED };

// Which series count: those of the metric that carry the label; any, when the label's name is empty.
struct wanted {
  const char *metric;
  const char *name;
  size_t name_length;
  // Without quotes and escapes.
  const char *value;
  size_t value_length;
};

// The largest value of the wanted series. NaN wins over every number: it means that nobody knows.
// A line that could be one of the metric and cannot be read makes the page malformed; `number`
// is the line that was read last, from 1.
enum page_found page_find(const char *page, size_t length, const struct wanted *wanted, double *value, size_t *number);
