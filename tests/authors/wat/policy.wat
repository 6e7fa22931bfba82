;; A policy by hand. Sizes and offsets are those of plugins/README.md.
;;
;;   wasm-tools parse policy.wat -o core.wasm
;;   phasegate plugin componentize core.wasm -o policy.wasm
(module
  (memory (export "memory") 1)
  ;; Texts of answers; what calls bring lies behind them and is given up with the next call.
  (data (i32.const 64) "okbusyhttp-statusno-answerthere are no settings")
  (global $next (mut i32) (i32.const 1024))

  (func $alloc (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32)
      (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $next) (i32.shl (memory.size) (i32.const 16))))
      (br_if $fits (i32.ne (i32.const -1)
        (memory.grow (i32.sub (i32.shr_u (i32.add (global.get $next) (i32.const 65535)) (i32.const 16)) (memory.size)))))
      unreachable)
    (memory.copy (local.get $at) (local.get $old) (local.get $old_size))
    (local.get $at))

  (func (export "cabi_post_phasegate:policy/evaluator@1.0.0#evaluate") (param i32)
    (global.set $next (i32.const 1024)))

  ;; `{}` and nothing else: result<_, string> at 16.
  (func (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $length i32) (result i32)
    (i32.store (i32.const 16) (i32.ne (local.get $length) (i32.const 2)))
    (i32.store (i32.const 20) (i32.const 90))
    (i32.store (i32.const 24) (i32.const 21))
    (i32.const 16))

  ;; list<result<decision, failure>> at 32.
  (func (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (local $at i32)
    (local.set $at
      (call $alloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.mul (local.get $count) (i32.const 60))))
    (memory.fill (local.get $at) (i32.const 0) (i32.mul (local.get $count) (i32.const 60)))
    (i32.store (i32.const 32) (local.get $at))
    (i32.store (i32.const 36) (local.get $count))
    (block $done
      (loop $each
        (br_if $done (i32.eqz (local.get $count)))
        (call $judge (i32.load offset=88 (local.get $batch)) (local.get $at))
        (local.set $batch (i32.add (local.get $batch) (i32.const 116)))
        (local.set $at (i32.add (local.get $at) (i32.const 60)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $each)))
    (i32.const 32))

  (func $judge (param $answer i32) (param $result i32)
    (local $status i32)
    (if (i32.load8_u offset=8 (local.get $answer))
      (then (return (call $decide (local.get $result) (i32.const 2) (i32.const 0) (i32.const 81) (i32.const 9)))))
    (local.set $status (i32.load16_u offset=16 (local.get $answer)))
    (if (i32.and (i32.ne (local.get $status) (i32.const 0))
                 (i32.ge_u (i32.sub (local.get $status) (i32.const 200)) (i32.const 100)))
      (then (return (call $decide (local.get $result) (i32.const 1) (i32.const 0) (i32.const 70) (i32.const 11)))))
    (if (i32.load offset=32 (local.get $answer))
      (then (if (i32.eq (i32.load8_u (i32.load offset=28 (local.get $answer))) (i32.const 0x62))
        (then (return (call $decide (local.get $result) (i32.const 0) (i32.const 2) (i32.const 66) (i32.const 4)))))))
    (call $decide (local.get $result) (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 2)))

  (func $decide (param $result i32) (param $health i32) (param $participation i32) (param $code i32) (param $length i32)
    (i32.store8 offset=4 (local.get $result) (local.get $health))
    (i32.store8 offset=16 (local.get $result) (local.get $participation))
    (i32.store8 offset=20 (local.get $result) (i32.const 1))
    (i32.store offset=24 (local.get $result) (local.get $code))
    (i32.store offset=28 (local.get $result) (local.get $length)))
)
