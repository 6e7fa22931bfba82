;; Takes memory in `configure` until it gets none.
(module
  ;; @include abi.wat
  (func $configure (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (loop $again
      (drop (call $alloc (i32.const 1048576)))
      (br $again))
    unreachable)
  (func (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (call $results (local.get $count)))
)
