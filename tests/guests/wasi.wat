;; Asks WASI for what the first byte of the body says, and answers what came as the phase.
(module
  (import "wasi:cli/environment@0.2.3" "get-environment" (func $environment (param i32)))
  (import "wasi:cli/environment@0.2.3" "initial-cwd" (func $cwd (param i32)))
  (import "wasi:cli/exit@0.2.3" "exit" (func $exit (param i32)))
  (import "wasi:cli/stdin@0.2.3" "get-stdin" (func $stdin (result i32)))
  (import "wasi:cli/stdout@0.2.3" "get-stdout" (func $stdout (result i32)))
  (import "wasi:io/streams@0.2.3" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.3" "[method]output-stream.blocking-write-and-flush"
    (func $write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.3" "[resource-drop]output-stream" (func $drop (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.3" "now" (func $monotonic (result i64)))
  (import "wasi:clocks/monotonic-clock@0.2.3" "subscribe-duration" (func $sleep (param i64) (result i32)))
  (import "wasi:io/poll@0.2.3" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/poll@0.2.3" "[method]pollable.ready" (func $ready (param i32) (result i32)))
  (import "wasi:io/poll@0.2.3" "poll" (func $poll (param i32 i32 i32)))
  (import "wasi:clocks/wall-clock@0.2.3" "now" (func $wall (param i32)))
  (import "wasi:filesystem/preopens@0.2.3" "get-directories" (func $folders (param i32)))
  (import "wasi:random/random@0.2.3" "get-random-u64" (func $random (result i64)))
  (import "wasi:random/random@0.2.3" "get-random-bytes" (func $bytes (param i64 i32)))
  ;; @include abi.wat
  (func (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (call $accepted))
  (data (i32.const 256) "hello from the guest\0aand more")
  (func $ask (param $what i32) (result i32)
    (local $handle i32) (local $count i32)
    (if (i32.eq (local.get $what) (i32.const 0x65)) (then ;; e: variables and folders there are, 0
      (call $environment (i32.const 128))
      (call $folders (i32.const 136))
      (call $cwd (i32.const 144))
      (return (i32.add (i32.load8_u (i32.const 144))
        (i32.add (i32.load (i32.const 132)) (i32.load (i32.const 140)))))))
    (if (i32.eq (local.get $what) (i32.const 0x78)) (then ;; x: exit
      (call $exit (i32.const 0))))
    (if (i32.eq (local.get $what) (i32.const 0x69)) (then ;; i: stdin is closed, 11
      (call $read (call $stdin) (i64.const 10) (i32.const 128))
      (return (i32.add (i32.mul (i32.const 10) (i32.load8_u (i32.const 128)))
        (i32.load8_u (i32.const 132))))))
    (if (i32.eq (local.get $what) (i32.const 0x77)) (then ;; w: stdout is written, 0
      (local.set $handle (call $stdout))
      (call $write (local.get $handle) (i32.const 256) (i32.const 29) (i32.const 128))
      (call $drop (local.get $handle))
      (return (i32.load8_u (i32.const 128)))))
    (if (i32.eq (local.get $what) (i32.const 0x68)) (then ;; h: handles without end
      (loop $again
        (drop (call $stdout))
        (br $again))))
    (if (i32.eq (local.get $what) (i32.const 0x75)) (then ;; u: many handles, given back, 3000
      (loop $again
        (call $drop (call $stdout))
        (br_if $again (i32.lt_u
          (local.tee $count (i32.add (local.get $count) (i32.const 1))) (i32.const 3000))))
      (return (local.get $count))))
    (if (i32.eq (local.get $what) (i32.const 0x70)) (then ;; p: an hour is over at once: ready, one of one
      (local.set $handle (call $sleep (i64.const 3600000000000)))
      (call $block (local.get $handle))
      (i32.store (i32.const 160) (local.get $handle))
      (call $poll (i32.const 160) (i32.const 1) (i32.const 128))
      (return (i32.add (i32.mul (i32.const 10) (call $ready (local.get $handle)))
        (i32.load (i32.const 132))))))
    (if (i32.eq (local.get $what) (i32.const 0x74)) (then ;; t: seconds of the wall clock
      (call $wall (i32.const 128))
      (return (i32.wrap_i64 (i64.load (i32.const 128))))))
    (if (i32.eq (local.get $what) (i32.const 0x6d)) (then ;; m: milliseconds of the other clock
      (return (i32.wrap_i64 (i64.div_u (call $monotonic) (i64.const 1000000))))))
    (if (i32.eq (local.get $what) (i32.const 0x72)) (then ;; r: a random number
      (return (i32.and (i32.wrap_i64 (call $random)) (i32.const 0xffffff)))))
    (if (i32.eq (local.get $what) (i32.const 0x62)) (then ;; b: too many random bytes
      (call $bytes (i64.const 100000000) (i32.const 128))))
    (i32.const 99))
  (func (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (local $area i32) (local $at i32)
    (local.set $area (call $results (local.get $count)))
    (local.set $at (i32.load (local.get $area)))
    (loop $each
      (i32.store8 offset=8 (local.get $at) (i32.const 1))
      (i32.store offset=12 (local.get $at) (call $ask (call $first_byte (local.get $batch))))
      (local.set $at (i32.add (local.get $at) (i32.const 60)))
      (local.set $batch (i32.add (local.get $batch) (i32.const 116)))
      (br_if $each (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (local.get $area))
)
