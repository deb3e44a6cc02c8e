//! Running host commands, so that an error keeps the command and the tail of its stderr.
