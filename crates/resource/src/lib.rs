//! Typed resources, their store, watches and the controller runtime.
