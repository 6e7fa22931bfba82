;; Writes 1,000 lines of 5,000 bytes in each call.
(module
  (import "phasegate:policy/log@1.0.0" "write" (func $write (param i32 i32 i32)))
  ;; @include abi.wat
  (func (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (call $accepted))
  (func $evaluate (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (local $lines i32)
    (local.set $lines (i32.const 1000))
    (memory.fill (i32.const 1024) (i32.const 0x6c) (i32.const 5000))
    (loop $again
      (call $write (i32.const 3) (i32.const 1024) (i32.const 5000))
      (br_if $again (local.tee $lines (i32.sub (local.get $lines) (i32.const 1)))))
    (call $results (local.get $count)))
)
