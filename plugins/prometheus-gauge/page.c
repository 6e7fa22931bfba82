#include "page.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// Longest number that is read; a double needs at most 24.
#define NUMBER_MAX 63
// Longest name or value of a label that is compared; longer ones are read, and are not the wanted one.
#define TEXT_MAX 255

struct line {
  const char *at;
  const char *end;
};

// A name or a value, without quotes and escapes.
struct text {
  char bytes[TEXT_MAX + 1];
  size_t length;
};

// What is called from many places is in the component once: a copy at each call would double its size, and a mutant of
// one copy is told by the cases of one call alone.
#define ONCE __attribute__((noinline))

ONCE static void skip_blanks(struct line *line) {
  while (line->at < line->end && (*line->at == ' ' || *line->at == '\t')) line->at++;
}

ONCE static bool take(struct line *line, char wanted) {
  if (line->at == line->end || *line->at != wanted) return false;
  line->at++;
  return true;
}

static void add(struct text *to, char byte) {
  // One more than fits marks a text that is too long to be the wanted one.
  if (to->length <= TEXT_MAX) to->bytes[to->length++] = byte;
}

ONCE static bool equals(const struct text *text, const char *word, size_t length) {
  return text->length == length && memcmp(text->bytes, word, length) == 0;
}

// "…" with the escapes \\, \" and \n.
ONCE static bool read_quoted(struct line *line, struct text *to) {
  to->length = 0;
  if (!take(line, '"')) return false;
  while (line->at < line->end && *line->at != '"') {
    char byte = *line->at++;
    if (byte == '\\') {
      if (line->at == line->end) return false;
      byte = *line->at++;
      if (byte == 'n') {
        byte = '\n';
      } else if (byte != '\\' && byte != '"') {
        return false;
      }
    }
    add(to, byte);
  }
  return take(line, '"');
}

static bool is_name_byte(char byte, bool first) {
  bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_' || byte == ':';
  return letter || (!first && byte >= '0' && byte <= '9');
}

ONCE static bool read_name(struct line *line, struct text *to) {
  to->length = 0;
  while (line->at < line->end && is_name_byte(*line->at, to->length == 0)) add(to, *line->at++);
  return to->length > 0;
}

// Reads `{a="b", c = "d"}`, whose first member may be the metric's name in quotes when none stands before.
static bool read_labels(struct line *line, const struct wanted *wanted, struct text *metric, bool *found) {
  struct text name, value;
  if (!take(line, '{')) return true;
  for (skip_blanks(line); !take(line, '}'); skip_blanks(line)) {
    bool quoted = line->at < line->end && *line->at == '"';
    if (!(quoted ? read_quoted(line, &name) : read_name(line, &name))) return false;
    skip_blanks(line);
    if (take(line, '=')) {
      skip_blanks(line);
      if (!read_quoted(line, &value)) return false;
      if (equals(&name, wanted->name, wanted->name_length) && equals(&value, wanted->value, wanted->value_length)) *found = true;
    } else {
      if (!quoted || metric->length > 0) return false;
      *metric = name;
    }
    skip_blanks(line);
    if (!take(line, ',') && (line->at == line->end || *line->at != '}')) return false;
  }
  return true;
}

ONCE static bool is_word(const char *text, const char *word) {
  for (; *word != '\0'; text++, word++) {
    if ((*text | 0x20) != *word) return false;
  }
  return *text == '\0';
}

// A decimal number, or Inf and NaN with a sign and in any case, as Prometheus reads them.
static bool read_number(struct line *line, double *value) {
  char text[NUMBER_MAX + 1];
  size_t length = 0;
  bool decimal = true;
  while (line->at < line->end && *line->at != ' ' && *line->at != '\t') {
    if (length == NUMBER_MAX || *line->at == '\0') return false;
    if (strchr("+-.0123456789eE", *line->at) == NULL) decimal = false;
    text[length++] = *line->at++;
  }
  text[length] = '\0';
  const char *word = text + (text[0] == '+' || text[0] == '-');
  if (!decimal && !is_word(word, "nan") && !is_word(word, "inf") && !is_word(word, "infinity")) return false;
  char *end;
  *value = strtod(text, &end);
  return length > 0 && end == text + length;
}

// What follows the value: nothing, or a whole number of milliseconds.
static bool read_end(struct line *line) {
  skip_blanks(line);
  if (line->at == line->end) return true;
  if (*line->at == '-' || *line->at == '+') line->at++;
  const char *digits = line->at;
  while (line->at < line->end && *line->at >= '0' && *line->at <= '9') line->at++;
  // No exporter fills up a time with zeroes, but `5 000` is how people write thousands.
  if (line->at == digits || (*digits == '0' && line->at - digits > 1)) return false;
  skip_blanks(line);
  return line->at == line->end;
}

enum line_is { LINE_OTHER, LINE_WANTED, LINE_MALFORMED };

// What stands behind another metric's name is not looked at. A line whose name cannot be told could be one
// of the metric, so it is malformed.
static enum line_is read_line(struct line *line, const struct wanted *wanted, double *value) {
  struct text metric;
  size_t length = strlen(wanted->metric);
  bool found = wanted->name_length == 0;
  skip_blanks(line);
  read_name(line, &metric);
  if (metric.length > 0 && !equals(&metric, wanted->metric, length)) return LINE_OTHER;
  if (metric.length == 0) {
    if (line->at == line->end || *line->at == '#') return LINE_OTHER;
    if (*line->at != '{') return LINE_MALFORMED;
  }
  skip_blanks(line);
  if (!read_labels(line, wanted, &metric, &found)) return LINE_MALFORMED;
  if (metric.length == 0) return LINE_MALFORMED;
  if (!equals(&metric, wanted->metric, length)) return LINE_OTHER;
  skip_blanks(line);
  if (!read_number(line, value) || !read_end(line)) return LINE_MALFORMED;
  return found ? LINE_WANTED : LINE_OTHER;
}

enum page_found page_find(const char *page, size_t length, const struct wanted *wanted, double *value, size_t *number) {
  enum page_found found = PAGE_ABSENT;
  *number = 0;
  const char *end = page + length;
  for (const char *at = page; at < end;) {
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    if (stop == NULL) stop = end;
    struct line line = {at, stop};
    at = stop + 1;
    if (line.end > line.at && line.end[-1] == '\r') line.end--;
    double seen;
    ++*number;
    switch (read_line(&line, wanted, &seen)) {
      case LINE_OTHER:
        continue;
      case LINE_MALFORMED:
        return PAGE_MALFORMED;
      case LINE_WANTED:
        if (found == PAGE_ABSENT || isnan(seen) || seen > *value) *value = seen;
        found = PAGE_FOUND;
    }
  }
  return found;
}
