;; Answers the time in seconds since 1970, without the highest bits, as the phase.
(module
  (import "phasegate:policy/clock@1.0.0" "now-ms" (func $now (result i64)))
  ;; @include abi.wat
  (func (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (call $accepted))
  (func $evaluate (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (local $area i32) (local $at i32) (local $text i32) (local $first i32)
    (local.set $area (call $results (local.get $count)))
    (local.set $at (i32.load (local.get $area)))
    (loop $each
      (i32.store8 offset=8 (local.get $at) (i32.const 1))
      (i32.store offset=12 (local.get $at)
        (i32.and (i32.wrap_i64 (i64.div_u (call $now) (i64.const 1000))) (i32.const 0x7fffffff)))
      (local.set $at (i32.add (local.get $at) (i32.const 60)))
      (local.set $batch (i32.add (local.get $batch) (i32.const 116)))
      (br_if $each (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (local.get $area))
)
