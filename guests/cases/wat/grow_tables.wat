;; Host: refuses growth of either table at the cap that counts tables together; `elements` then says
;; how many elements they have. A trap at the cap is as good as a refusal.
(component
  (core module $m
    (table $a 1 funcref)
    (table $b 1 funcref)
    (func (export "run") (result i32)
      (local $first i32) (local $second i32)
      loop $again
        ref.null func i32.const 1024 table.grow $a local.set $first
        ref.null func i32.const 1024 table.grow $b local.set $second
        local.get $first local.get $second i32.and i32.const -1 i32.ne
        br_if $again
      end
      i32.const 0)
    (func (export "elements") (result i32)
      table.size $a table.size $b i32.add))
  (core instance $i (instantiate $m))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (func (export "elements") (result u32) (canon lift (core func $i "elements")))
  (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))
