;; Reads far beyond its memory.
(module
  (memory (export "memory") 1)
  (func $read_the_horizon (result i32) (i32.load (i32.const 0x7ffffff0)))
  (func $main (export "_start") (drop (call $read_the_horizon))))
