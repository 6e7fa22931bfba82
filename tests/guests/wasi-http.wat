;; Sends a request.
(module
  (import "wasi:http/outgoing-handler@0.2.3" "send" (func $send (result i32)))
  ;; @include abi.wat
  (func (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (call $accepted))
  (func (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (drop (call $send))
    (call $results (local.get $count)))
)
