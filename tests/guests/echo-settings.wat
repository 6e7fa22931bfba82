;; Refuses its settings with the settings themselves.
(module
  ;; @include abi.wat
  (func $configure (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (i32.store (i32.const 32) (i32.const 1))
    (i32.store (i32.const 36) (local.get $settings))
    (i32.store (i32.const 40) (local.get $len))
    (i32.const 32))
  (func (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (call $results (local.get $count)))
)
