;; Host: counts both memories against one `limits.memory_bytes`: `run` grows them in turn until each
;; is refused, and then `pages` says how many 64 KiB pages they have together. A trap at the cap is
;; as good as a refusal.
(component
  (core module $other
    (memory 1)
    (func (export "grow") (result i32) i32.const 1 memory.grow)
    (func (export "size") (result i32) memory.size))
  (core instance $o (instantiate $other))
  (core module $m
    (import "other" "grow" (func $grow-other (result i32)))
    (import "other" "size" (func $size-other (result i32)))
    (memory 1)
    (func (export "run") (result i32)
      (local $mine i32) (local $others i32)
      loop $again
        i32.const 1 memory.grow local.set $mine
        call $grow-other local.set $others
        ;; -1 & -1: both were refused
        local.get $mine local.get $others i32.and i32.const -1 i32.ne
        br_if $again
      end
      i32.const 0)
    (func (export "pages") (result i32)
      memory.size call $size-other i32.add))
  (core instance $i (instantiate $m (with "other" (instance $o))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (func (export "pages") (result u32) (canon lift (core func $i "pages")))
  (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))
