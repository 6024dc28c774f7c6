;; Calls itself until the stack is used up.
(module
  (memory (export "memory") 1)
  (func $dig_deeper (param $depth i64) (result i64)
    (i64.add (local.get $depth) (call $dig_deeper (i64.add (local.get $depth) (i64.const 1)))))
  (func $main (export "_start") (drop (call $dig_deeper (i64.const 0)))))
