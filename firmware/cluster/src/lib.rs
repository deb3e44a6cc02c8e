//! The microcloud core, sans-IO: membership, admission, messages.
