;; Refuses its settings with a text of 100,000 bytes that starts with control characters.
(module
  ;; @include abi.wat
  (func $configure (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (local $text i32)
    (local.set $text (call $alloc (i32.const 100000)))
    (memory.fill (local.get $text) (i32.const 0x78) (i32.const 100000))
    ;; ESC [ 2 J, line feed
    (i32.store (local.get $text) (i32.const 0x4a325b1b))
    (i32.store8 offset=4 (local.get $text) (i32.const 10))
    (i32.store (i32.const 32) (i32.const 1))
    (i32.store (i32.const 36) (local.get $text))
    (i32.store (i32.const 40) (i32.const 100000))
    (i32.const 32))
  (func (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (call $results (local.get $count)))
)
