// Finds a sample in a page of the Prometheus text format.
#pragma once

#include <stddef.h>

enum page_found { PAGE_FOUND, PAGE_ABSENT, PAGE_MALFORMED };

// The largest value of the metric among the series that carry the label (`name="value"`; "" for any).
// NaN wins over every number: it means that nobody knows.
enum page_found page_find(const char *page, size_t length, const char *metric, const char *label, double *value);
