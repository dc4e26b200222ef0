;; Host: refuses it before it runs: it imports an interface that no permission grants, and the error
;; names it (`acme:unknown/thing@1.0.0`).
(component
  (import "acme:unknown/thing@1.0.0" (instance $thing
    (export "act" (func))))
  (core func $act (canon lower (func $thing "act")))
  (core module $m
    (import "thing" "act" (func $act))
    (func (export "run") (result i32) call $act i32.const 0))
  (core instance $i (instantiate $m
    (with "thing" (instance (export "act" (func $act))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))
