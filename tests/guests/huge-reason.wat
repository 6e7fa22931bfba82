;; Gives a reason whose code and detail are a megabyte each.
(module
  ;; @include abi.wat
  (func (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (call $accepted))
  (func $evaluate (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (local $area i32) (local $at i32) (local $text i32) (local $first i32)
    (local.set $area (call $results (local.get $count)))
    (local.set $at (i32.load (local.get $area)))
    (local.set $text (call $alloc (i32.const 1048576)))
    (memory.fill (local.get $text) (i32.const 0x41) (i32.const 1048576))
    (loop $each
      (i32.store8 offset=20 (local.get $at) (i32.const 1))
      (i32.store offset=24 (local.get $at) (local.get $text))
      (i32.store offset=28 (local.get $at) (i32.const 1048576))
      (i32.store offset=32 (local.get $at) (local.get $text))
      (i32.store offset=36 (local.get $at) (i32.const 1048576))
      (local.set $at (i32.add (local.get $at) (i32.const 60)))
      (local.set $batch (i32.add (local.get $batch) (i32.const 116)))
      (br_if $each (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (local.get $area))
)
