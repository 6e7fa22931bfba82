;; Reads the first byte of the body: `u` is unhealthy, `?` unknown, `s` healthy but skip, `d` healthy
;; but defer, a digit healthy in that phase; anything else healthy in the last phase.
(module
  ;; @include abi.wat
  (func (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (call $accepted))
  (func $evaluate (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (local $area i32) (local $at i32) (local $text i32) (local $first i32)
    (local.set $area (call $results (local.get $count)))
    (local.set $at (i32.load (local.get $area)))
    (loop $each
      (local.set $first (call $first_byte (local.get $batch)))
      (if (i32.eq (local.get $first) (i32.const 0x75)) (then (i32.store8 offset=4 (local.get $at) (i32.const 1))))
      (if (i32.eq (local.get $first) (i32.const 0x3f)) (then (i32.store8 offset=4 (local.get $at) (i32.const 2))))
      (if (i32.eq (local.get $first) (i32.const 0x73)) (then (i32.store8 offset=16 (local.get $at) (i32.const 1))))
      (if (i32.eq (local.get $first) (i32.const 0x64)) (then (i32.store8 offset=16 (local.get $at) (i32.const 2))))
      (if (i32.lt_u (i32.sub (local.get $first) (i32.const 0x30)) (i32.const 10)) (then
        (i32.store8 offset=8 (local.get $at) (i32.const 1))
        (i32.store offset=12 (local.get $at) (i32.sub (local.get $first) (i32.const 0x30)))))
      (local.set $at (i32.add (local.get $at) (i32.const 60)))
      (local.set $batch (i32.add (local.get $batch) (i32.const 116)))
      (br_if $each (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (local.get $area))
)
