;; Prints for each of its streams whether it is a terminal, by the rule of C's isatty: "yyy\n" if all are. Then it
;; copies stdin to stdout, a read at a time, until its end; ends with 1 if anything fails.
(module
  (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fd_fdstat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func $check (param $errno i32)
    (if (local.get $errno) (then (call $proc_exit (i32.const 1)))))
  (func $write (param $from i32) (param $left i32)
    (loop $more
      (i32.store (i32.const 0) (local.get $from))
      (i32.store (i32.const 4) (local.get $left))
      (call $check (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $from (i32.add (local.get $from) (i32.load (i32.const 8))))
      (local.set $left (i32.sub (local.get $left) (i32.load (i32.const 8))))
      (br_if $more (local.get $left))))
  ;; A character device (2) that can neither seek (4) nor tell (32).
  (func $is_terminal (param $fd i32) (result i32)
    (call $check (call $fd_fdstat_get (local.get $fd) (i32.const 16)))
    (i32.and
      (i32.eq (i32.load8_u (i32.const 16)) (i32.const 2))
      (i32.eqz (i32.and (i32.load (i32.const 24)) (i32.const 36)))))
  (func (export "_start") (local $fd i32)
    (loop $next
      (i32.store8 (i32.add (i32.const 64) (local.get $fd))
        (select (i32.const 121) (i32.const 110) (call $is_terminal (local.get $fd))))
      (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $fd) (i32.const 3))))
    (i32.store8 (i32.const 67) (i32.const 10))
    (call $write (i32.const 64) (i32.const 4))
    (loop $next
      (i32.store (i32.const 0) (i32.const 1024))
      (i32.store (i32.const 4) (i32.const 4096))
      (call $check (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (i32.eqz (i32.load (i32.const 8))) (then (return)))
      (call $write (i32.const 1024) (i32.load (i32.const 8)))
      (br $next))))
