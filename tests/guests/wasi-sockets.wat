;; Opens a socket; traps unless that is denied. A module around it says that it is Python.
(module
  (import "wasi:sockets/tcp-create-socket@0.2.3" "create-tcp-socket" (func $socket (param i32 i32)))
  ;; @include abi.wat
  (func (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (call $accepted))
  (func (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (call $socket (i32.const 0) (i32.const 128))
    ;; An error, and that is `access-denied`.
    (if (i32.ne (i32.load8_u (i32.const 128)) (i32.const 1)) (then unreachable))
    (if (i32.ne (i32.load8_u (i32.const 132)) (i32.const 1)) (then unreachable))
    (call $results (local.get $count)))
)
