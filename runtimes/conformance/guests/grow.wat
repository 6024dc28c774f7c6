;; Grows its memory by 16 MiB at a time, touching every page, until it is refused. COPED decides what then:
;; 0 traps, 1 prints "coped".
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\06\00\00\00")
  (data (i32.const 16) "coped\n")
  (func $grow_until_refused (local $before i32)
    (loop $more
      (local.set $before (memory.grow (i32.const 256)))
      (if (i32.ne (local.get $before) (i32.const -1))
        (then
          (memory.fill (i32.shl (local.get $before) (i32.const 16)) (i32.const 1) (i32.const 0x1000000))
          (br $more)))))
  (func $main (export "_start")
    (call $grow_until_refused)
    (if (i32.eqz (i32.const COPED)) (then unreachable))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
