//! What a host should run and what runs there, as data.

pub mod cloud;
mod facts;
mod gathered;
mod given;
mod ids;
mod instance;
mod object;

pub use facts::{Condition, DISK_SIZES, Engine, Exit, Facts, State, Status, Usage};
pub use gathered::{Gathered, recipe, recipe_key};
pub use given::{Done, File, Proxy, Recipe, Rlimit, Secret, Tmpfs, Value, Volume};
pub use ids::{IDS, Ids};
pub use instance::{Image, Instance, Limits, Need, Probe, Ready};
pub use object::{CLOSED, Intent, IntentFile, Object};

/// The longest name of an instance in an engine: LXD's rule for host names (RFC 1123 label).
pub const NAME_MAX: usize = 63;

/// The name of an instance in an OCI runtime. Names have no dots, so that it is unique among all stacks.
pub fn runtime_id(stack: &str, instance: &str) -> String {
    format!("{stack}.{instance}")
}

/// The name of an instance in an engine without stacks. Two stacks may have the same one, such as a-b with c and a with
/// b-c: a plan refuses the second.
pub fn engine_name(stack: &str, instance: &str) -> String {
    format!("{stack}-{instance}")
}
