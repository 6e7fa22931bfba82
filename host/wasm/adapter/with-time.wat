  ;; Milliseconds since 1970.
  (import "phasegate:policy/clock@1.0.0" "now-ms" (func $time_of_day (result i64)))
