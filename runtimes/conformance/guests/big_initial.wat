;; Asks for PAGES pages of 64 KiB from the start.
(module
  (memory (export "memory") PAGES)
  (func (export "_start")))
