;; Traps three named functions deep, so that a backtrace has something to show.
(module
  (memory (export "memory") 1)
  (func $open_the_valve unreachable)
  (func $start_the_pump (call $open_the_valve))
  (func $main (export "_start") (call $start_the_pump)))
