;; Needs something no world offers.
(module
  (import "company" "secret_sauce" (func $sauce (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (drop (call $sauce (i32.const 1)))))
