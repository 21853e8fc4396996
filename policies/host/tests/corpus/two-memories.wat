;; Two components with a memory each, one of which calls the other with a string: the compiler makes
;; an adapter with both memories, which must be valid wherever this is accepted.
(component
  (component $callee
    (core module $m
      (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
      (func (export "take") (param i32 i32)))
    (core instance $i (instantiate $m))
    (func (export "take") (param "text" string)
      (canon lift (core func $i "take") (memory (core memory $i "memory"))
        (realloc (core func $i "realloc")))))
  (component $caller
    (import "take" (func $take (param "text" string)))
    (core module $libc (memory (export "memory") 1))
    (core instance $libc (instantiate $libc))
    (core func $take' (canon lower (func $take) (memory (core memory $libc "memory"))))
    (core module $m
      (import "host" "take" (func $take (param i32 i32)))
      (func (export "run") (call $take (i32.const 0) (i32.const 0))))
    (core instance $i (instantiate $m
      (with "host" (instance (export "take" (func $take'))))))
    (func (export "run") (canon lift (core func $i "run"))))
  (instance $callee (instantiate $callee))
  (instance $caller (instantiate $caller (with "take" (func $callee "take"))))
  (export "describe" (func $caller "run"))
  (export "check" (func $caller "run"))
  (export "decide" (func $caller "run")))
