;; A command of WASI 0.2 that needs something no world offers.
(component
  (import "company:secret/sauce" (instance $sauce (export "taste" (func))))
  (core func $taste (canon lower (func $sauce "taste")))
  (core module $main
    (import "sauce" "taste" (func $taste))
    (func (export "run") (result i32) (call $taste) (i32.const 0)))
  (core instance $sauce (export "taste" (func $taste)))
  (core instance $main (instantiate $main (with "sauce" (instance $sauce))))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $command)))
