;; Counts in its memory: the first byte, plus one each round, is the phase and the new memory. A body
;; that starts with `X` traps, one that starts with `F` makes it forget.
(module
  ;; @include abi.wat
  (func (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (call $accepted))
  (func $evaluate (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (local $area i32) (local $at i32) (local $text i32) (local $first i32)
    (local.set $area (call $results (local.get $count)))
    (local.set $at (i32.load (local.get $area)))
    (loop $each
      (local.set $first (i32.const 1))
      (if (i32.load8_u offset=96 (local.get $batch)) (then
        (local.set $first (i32.add (i32.const 1)
          (i32.load8_u (i32.load offset=100 (local.get $batch)))))))
      (i32.store8 offset=8 (local.get $at) (i32.const 1))
      (i32.store offset=12 (local.get $at) (local.get $first))
      (local.set $text (call $alloc (i32.const 1)))
      (i32.store8 (local.get $text) (local.get $first))
      (i32.store8 offset=40 (local.get $at) (i32.const 1))
      (i32.store offset=44 (local.get $at) (local.get $text))
      (i32.store offset=48 (local.get $at) (i32.const 1))
      (local.set $first (call $first_byte (local.get $batch)))
      (if (i32.eq (local.get $first) (i32.const 0x58)) (then unreachable))
      (if (i32.eq (local.get $first) (i32.const 0x46)) (then
        (i32.store8 offset=40 (local.get $at) (i32.const 0))))
      (local.set $at (i32.add (local.get $at) (i32.const 60)))
      (local.set $batch (i32.add (local.get $batch) (i32.const 116)))
      (br_if $each (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (local.get $area))
)
