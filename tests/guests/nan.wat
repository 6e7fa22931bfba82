;; Plays with NaN: the phase is the bits of a NaN that arithmetic made of another NaN, which differ
;; from machine to machine unless the host makes them the same.
(module
  ;; @include abi.wat
  (func (export "phasegate:policy/evaluator@1.0.0#configure") (param $settings i32) (param $len i32) (result i32)
    (call $accepted))
  (func $evaluate (export "phasegate:policy/evaluator@1.0.0#evaluate") (param $batch i32) (param $count i32) (result i32)
    (local $area i32) (local $at i32)
    (local.set $area (call $results (local.get $count)))
    (local.set $at (i32.load (local.get $area)))
    (loop $each
      (i32.store8 offset=8 (local.get $at) (i32.const 1))
      (i32.store offset=12 (local.get $at) (i32.reinterpret_f32
        (f32.add (f32.const nan:0x200001) (f32.convert_i32_u (local.get $count)))))
      (local.set $at (i32.add (local.get $at) (i32.const 60)))
      (br_if $each (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (local.get $area))
)
