;; Nested components that pass numbers, instances and types to one another.
(component
  (type $pair (tuple u32 u32))
  (component $inner
    (core module $m (func (export "add") (param i32 i32) (result i32)
      (i32.add (local.get 0) (local.get 1))))
    (core instance $i (instantiate $m))
    (func (export "add") (param "a" u32) (param "b" u32) (result u32)
      (canon lift (core func $i "add"))))
  (component $outer
    (import "inner" (instance $inner (export "add" (func (param "a" u32) (param "b" u32) (result u32)))))
    (core func $add' (canon lower (func $inner "add")))
    (core module $m
      (import "inner" "add" (func $add (param i32 i32) (result i32)))
      (func (export "twice") (param i32) (result i32) (call $add (local.get 0) (local.get 0))))
    (core instance $i (instantiate $m
      (with "inner" (instance (export "add" (func $add'))))))
    (func (export "twice") (param "a" u32) (result u32) (canon lift (core func $i "twice"))))
  (instance $inner (instantiate $inner))
  (instance $outer (instantiate $outer (with "inner" (instance $inner))))
  (export "describe" (func $outer "twice"))
  (export "check" (func $outer "twice"))
  (export "decide" (func $inner "add")))
