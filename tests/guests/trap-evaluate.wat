;; Traps in `evaluate`, two functions deep.
(module
  ;; @include abi.wat
  (func $deep unreachable)
  (func $middle (call $deep))
  (func (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (call $accepted))
  (func $evaluate (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (call $middle)
    unreachable)
)
