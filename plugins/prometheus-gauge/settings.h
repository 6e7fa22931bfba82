// The settings of prometheus-gauge.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SETTING_TEXT_MAX 128

typedef struct {
  char metric[SETTING_TEXT_MAX + 1];
  // As it was typed, and its parts without quotes and escapes; all empty for any series.
  char label[SETTING_TEXT_MAX + 1];
  char label_name[SETTING_TEXT_MAX + 1];
  char label_value[SETTING_TEXT_MAX + 1];
  double defer_above;
  double unhealthy_above;
  bool has_phase;
  uint32_t phase;
} settings;

// Reads a flat JSON object; false with one line in `why` when something in it does not do.
bool settings_read(const char *text, size_t length, settings *read, char *why, size_t why_size);
