;; Traps on the third call of one instance; every other call is fine.
(module
  ;; @include abi.wat
  (global $calls (mut i32) (i32.const 0))
  (func (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (call $accepted))
  (func $evaluate (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (i32.ge_u (global.get $calls) (i32.const 3)) (then unreachable))
    (call $results (local.get $count)))
)
