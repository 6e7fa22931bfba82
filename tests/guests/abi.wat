  ;; What every guest shares: memory, an allocator that starts anew after each call, and answers.
  ;; The layouts are those of the canonical ABI for wit/v1: a `result<decision, failure>` is 60
  ;; bytes, an `observation` 116, an `answer` 40; all zeros is "healthy, last phase, proceed".
  (memory (export "memory") 2)
  (global $next (mut i32) (i32.const 65536))
  (func $alloc (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $next) (i32.shl (memory.size) (i32.const 16))))
      (br_if $fits (i32.ne (i32.const -1)
        (memory.grow (i32.sub
          (i32.shr_u (i32.add (global.get $next) (i32.const 65535)) (i32.const 16))
          (memory.size)))))
      unreachable)
    (local.get $at))
  (func (export "cabi_realloc") (param $old i32) (param $old_len i32) (param $align i32) (param $len i32)
      (result i32)
    (local $at i32)
    (local.set $at (call $alloc (local.get $len)))
    (memory.copy (local.get $at) (local.get $old) (local.get $old_len))
    (local.get $at))
  (func (export "cabi_post_phasegate:policy/evaluator@1.0.0#evaluate") (param i32)
    (global.set $next (i32.const 65536)))
  ;; A list of `count` zeroed results; the return area is at address 16, the list itself at the
  ;; address that is stored there.
  (func $results (param $count i32) (result i32)
    (local $list i32)
    (local.set $list (call $alloc (i32.mul (local.get $count) (i32.const 60))))
    (memory.fill (local.get $list) (i32.const 0) (i32.mul (local.get $count) (i32.const 60)))
    (i32.store (i32.const 16) (local.get $list))
    (i32.store (i32.const 20) (local.get $count))
    (i32.const 16))
  ;; Settings accepted; the return area is at address 32.
  (func $accepted (result i32)
    (i32.store (i32.const 32) (i32.const 0))
    (i32.const 32))
  ;; First byte of the body of the first answer of an observation; 0 when there is none.
  (func $first_byte (param $observation i32) (result i32)
    (local $answer i32)
    (local.set $answer (i32.load offset=88 (local.get $observation)))
    (if (i32.eqz (i32.load offset=92 (local.get $observation))) (then (return (i32.const 0))))
    (if (i32.load8_u offset=8 (local.get $answer)) (then (return (i32.const 0))))
    (if (i32.eqz (i32.load offset=32 (local.get $answer))) (then (return (i32.const 0))))
    (i32.load8_u (i32.load offset=28 (local.get $answer))))
