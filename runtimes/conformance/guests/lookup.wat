;; Looks NAME up and ends with the last byte of its first IPv4 address; with 100 + error code, or 99 without one.
(module
  (import "wasi:sockets/instance-network@0.2.0" "instance-network" (func $network (result i32)))
  (import "wasi:sockets/ip-name-lookup@0.2.0" "resolve-addresses" (func $resolve (param i32 i32 i32 i32)))
  (import "wasi:sockets/ip-name-lookup@0.2.0" "[method]resolve-address-stream.subscribe"
    (func $subscribe (param i32) (result i32)))
  (import "wasi:sockets/ip-name-lookup@0.2.0" "[method]resolve-address-stream.resolve-next-address"
    (func $next (param i32 i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:cli/exit@0.2.0" "exit-with-code" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "NAME")
  (func (export "wasi:cli/run@0.2.0#run") (result i32) (local $stream i32)
    ;; result<stream, error>: which at 0, either at 4
    (call $resolve (call $network) (i32.const 64) (i32.const LENGTH) (i32.const 0))
    (if (i32.load8_u (i32.const 0))
      (then (call $exit (i32.add (i32.const 100) (i32.load8_u (i32.const 4))))))
    (local.set $stream (i32.load (i32.const 4)))
    (call $block (call $subscribe (local.get $stream)))
    ;; result<option<address>, error>: which at 0, option or error at 2, family at 4, address at 6
    (call $next (local.get $stream) (i32.const 0))
    (if (i32.load8_u (i32.const 0))
      (then (call $exit (i32.add (i32.const 100) (i32.load8_u (i32.const 2))))))
    (if (i32.or (i32.eqz (i32.load8_u (i32.const 2))) (i32.load8_u (i32.const 4)))
      (then (call $exit (i32.const 99))))
    (call $exit (i32.load8_u (i32.const 9)))
    (i32.const 0)))
