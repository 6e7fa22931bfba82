#include "settings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The object that the host sends is valid JSON; what is no flat object of texts and numbers is refused.
struct reader {
  const char *at;
  const char *end;
};

// In the component once, as in page.c.
#define ONCE __attribute__((noinline))

ONCE static void skip_space(struct reader *in) {
  while (in->at < in->end && strchr(" \t\r\n", *in->at) != NULL) in->at++;
}

ONCE static bool take(struct reader *in, char wanted) {
  skip_space(in);
  if (in->at == in->end || *in->at != wanted) return false;
  in->at++;
  return true;
}

// A text in quotes, with the escapes \" \\ and \/ only.
ONCE static bool read_text(struct reader *in, char *out) {
  size_t length = 0;
  if (!take(in, '"')) return false;
  while (in->at < in->end && *in->at != '"') {
    if (*in->at == '\\') {
      in->at++;
      if (in->at == in->end || strchr("\"\\/", *in->at) == NULL) return false;
    }
    if (length == SETTING_TEXT_MAX || (unsigned char)*in->at < ' ') return false;
    out[length++] = *in->at++;
  }
  out[length] = '\0';
  return take(in, '"');
}

ONCE static bool read_number(struct reader *in, double *out) {
  char text[64];
  size_t length = 0;
  skip_space(in);
  while (in->at < in->end && strchr("+-.0123456789eE", *in->at) != NULL && *in->at != '\0') {
    if (length == sizeof text - 1) return false;
    text[length++] = *in->at++;
  }
  text[length] = '\0';
  char *end;
  *out = strtod(text, &end);
  return length > 0 && end == text + length;
}

static bool is_metric_name(const char *name) {
  if (*name == '\0' || (*name >= '0' && *name <= '9')) return false;
  for (; *name != '\0'; name++) {
    bool letter = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z');
    if (!letter && !(*name >= '0' && *name <= '9') && *name != '_' && *name != ':') return false;
  }
  return true;
}

// Splits name="value", as a page writes it, with the escapes \\, \" and \n in the value.
static bool split_label(settings *read) {
  const char *at = read->label;
  size_t length = strcspn(at, "=\"");
  if (length == 0 || at[length] != '=' || at[length + 1] != '"') return false;
  memcpy(read->label_name, at, length);
  read->label_name[length] = '\0';
  at += length + 2;
  for (length = 0; *at != '\0' && *at != '"'; at++) {
    char byte = *at;
    if (byte == '\\') {
      byte = *++at;
      if (byte == '\0' || strchr("\\\"n", byte) == NULL) return false;
      if (byte == 'n') byte = '\n';
    }
    read->label_value[length++] = byte;
  }
  read->label_value[length] = '\0';
  return at[0] == '"' && at[1] == '\0';
}

static bool refuse(char *why, size_t size, const char *text, const char *name) {
  snprintf(why, size, text, name);
  return false;
}

static bool read_member(struct reader *in, const char *name, settings *read, char *why, size_t size) {
  double number;
  if (strcmp(name, "metric") == 0) {
    if (read_text(in, read->metric) && is_metric_name(read->metric)) return true;
    return refuse(why, size, "%s must be the name of a metric, at most 128 letters", name);
  }
  if (strcmp(name, "label") == 0) {
    if (read_text(in, read->label) && split_label(read)) return true;
    return refuse(why, size, "%s must be one label, written name=\"value\"", name);
  }
  if (strcmp(name, "deferAbove") == 0 || strcmp(name, "unhealthyAbove") == 0) {
    if (!read_number(in, &number)) return refuse(why, size, "%s must be a number", name);
    *(name[0] == 'd' ? &read->defer_above : &read->unhealthy_above) = number;
    return true;
  }
  if (strcmp(name, "phase") == 0) {
    if (!read_number(in, &number) || number < 0 || number > 2147483647 || number != floor(number)) {
      return refuse(why, size, "%s must be a whole number from 0 to 2147483647", name);
    }
    read->has_phase = true;
    read->phase = (uint32_t)number;
    return true;
  }
  return refuse(why, size, "unknown setting %s; known are metric, label, deferAbove, unhealthyAbove, phase", name);
}

bool settings_read(const char *text, size_t length, settings *read, char *why, size_t size) {
  struct reader in = {text, text + length};
  char name[SETTING_TEXT_MAX + 1];
  *read = (settings){.defer_above = INFINITY, .unhealthy_above = INFINITY};
  if (!take(&in, '{')) return refuse(why, size, "%s must be an object", "settings");
  if (!take(&in, '}')) {
    do {
      if (!read_text(&in, name) || !take(&in, ':')) return refuse(why, size, "%s must be a flat object", "settings");
      if (!read_member(&in, name, read, why, size)) return false;
    } while (take(&in, ','));
    if (!take(&in, '}')) return refuse(why, size, "%s must be a flat object", "settings");
  }
  skip_space(&in);
  if (in.at != in.end) return refuse(why, size, "%s must be one object", "settings");
  if (read->metric[0] == '\0') return refuse(why, size, "%s is missing: which gauge to read", "metric");
  if (isinf(read->defer_above) && isinf(read->unhealthy_above)) {
    return refuse(why, size, "%s or unhealthyAbove is needed", "deferAbove");
  }
  return true;
}
