;; Grows a table without end, then traps.
(module
  ;; @include abi.wat
  (table $t 1 funcref)
  (func (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (call $accepted))
  (func $evaluate (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (loop $again
      (br_if $again (i32.ne (i32.const -1) (table.grow $t (ref.null func) (i32.const 65536)))))
    unreachable)
)
