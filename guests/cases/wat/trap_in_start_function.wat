;; Host: fails when it instantiates (the core module's start function traps); the exit status is a
;; trap, `run` is never called, and the host keeps working.
(component
  (core module $m
    (func $start unreachable)
    (start $start)
    (func (export "run") (result i32) i32.const 0))
  (core instance $i (instantiate $m))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))
