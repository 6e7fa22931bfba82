#include "page.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// Longest number that is read; a double needs at most 24.
#define NUMBER_MAX 63

struct line {
  const char *at;
  const char *end;
};

static void skip_blanks(struct line *line) {
  while (line->at < line->end && (*line->at == ' ' || *line->at == '\t')) line->at++;
}

static bool skip_word(struct line *line, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(line->end - line->at) < length || memcmp(line->at, word, length) != 0) return false;
  line->at += length;
  return true;
}

// Reads `{a="b",c="d"}`; says whether one of the pairs is the label. False in `valid` when it has no end.
static bool skip_labels(struct line *line, const char *label, bool *valid) {
  size_t length = strlen(label);
  bool found = length == 0;
  *valid = true;
  if (line->at == line->end || *line->at != '{') return found;
  line->at++;
  for (;;) {
    skip_blanks(line);
    while (line->at < line->end && *line->at == ',') {
      line->at++;
      skip_blanks(line);
    }
    if (line->at < line->end && *line->at == '}') {
      line->at++;
      return found;
    }
    const char *begin = line->at;
    while (line->at < line->end && *line->at != '"') line->at++;
    if (line->at == line->end) break;
    line->at++;
    while (line->at < line->end && *line->at != '"') line->at += *line->at == '\\' && line->end - line->at > 1 ? 2 : 1;
    if (line->at == line->end) break;
    line->at++;
    if ((size_t)(line->at - begin) == length && memcmp(begin, label, length) == 0) found = true;
  }
  *valid = false;
  return false;
}

static bool read_number(struct line *line, double *value) {
  char text[NUMBER_MAX + 1];
  size_t length = 0;
  while (line->at < line->end && *line->at != ' ' && *line->at != '\t') {
    if (length == NUMBER_MAX) return false;
    text[length++] = *line->at++;
  }
  text[length] = '\0';
  char *end;
  *value = strtod(text, &end);
  return length > 0 && end == text + length;
}

// Numbers follow C's strtod, but for hexadecimal ones and words such as "infinity", which no exporter
// writes; they are read too, which does no harm.
enum page_found page_find(const char *page, size_t length, const char *metric, const char *label, double *value) {
  enum page_found found = PAGE_ABSENT;
  const char *end = page + length;
  for (const char *at = page; at < end;) {
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    if (stop == NULL) stop = end;
    struct line line = {at, stop};
    at = stop + 1;
    if (line.end > line.at && line.end[-1] == '\r') line.end--;
    skip_blanks(&line);
    if (!skip_word(&line, metric)) continue;
    if (line.at < line.end && *line.at != '{' && *line.at != ' ' && *line.at != '\t') continue;
    bool valid;
    bool wanted = (skip_blanks(&line), skip_labels(&line, label, &valid));
    if (!valid) return PAGE_MALFORMED;
    if (!wanted) continue;
    double seen;
    skip_blanks(&line);
    if (!read_number(&line, &seen)) return PAGE_MALFORMED;
    if (found == PAGE_ABSENT || isnan(seen) || seen > *value) *value = seen;
    found = PAGE_FOUND;
    if (isnan(*value)) return found;
  }
  return found;
}
