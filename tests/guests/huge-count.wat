;; Claims a list of 4 billion results.
(module
  ;; @include abi.wat
  (func (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (call $accepted))
  (func $evaluate (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (drop (call $results (local.get $count)))
    (i32.store (i32.const 20) (i32.const -1))
    (i32.const 16))
)
