;; Writes a line of 16 MiB.
(module
  (import "phasegate:policy/log@1.0.0" "write" (func $write (param i32 i32 i32)))
  ;; @include abi.wat
  (func (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (call $accepted))
  (func $evaluate (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (local $text i32)
    (local.set $text (call $alloc (i32.const 16777216)))
    (call $write (i32.const 1) (local.get $text) (i32.const 16777216))
    (call $results (local.get $count)))
)
