//! What a host should run and what runs there, as plain data.

pub mod cloud;
mod gathered;
mod given;
mod instance;
mod object;
mod seen;

pub use gathered::{Gathered, recipe, recipe_key};
pub use given::{Done, File, Recipe, Rlimit, Secret, Tmpfs, Value, Volume};
pub use instance::{Image, Instance, Limits, Need, Probe, Ready};
pub use object::{CLOSED, Intent, IntentFile, Object};
pub use seen::{Condition, Engine, Exit, Seen, State, Status, Usage};

/// The longest name an engine takes for an instance: LXD's rule for host names (RFC 1123 label).
pub const NAME_MAX: usize = 63;

/// What an engine that knows no stacks calls an instance. Two stacks may come to the same name, as a-b with c and a with b-c: a
/// plan refuses the second.
pub fn engine_name(stack: &str, instance: &str) -> String {
    format!("{stack}-{instance}")
}
