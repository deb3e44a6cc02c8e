//! What the builder and the node must agree on. No I/O.
