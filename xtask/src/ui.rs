//! What a person sees while the builder works: steps with their time, progress of long ones. All of it on stderr.
