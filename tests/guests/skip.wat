;; Every instance is healthy, and skips.
(module
  ;; @include abi.wat
  (func (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (call $accepted))
  (func (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (local $result i32)
    (drop (call $results (local.get $count)))
    (local.set $result (i32.load (i32.const 16)))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (i32.store8 offset=16 (local.get $result) (i32.const 1))
        (local.set $result (i32.add (local.get $result) (i32.const 60)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.const 16))
)
