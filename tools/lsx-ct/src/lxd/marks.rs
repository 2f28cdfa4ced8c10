//! What marks an instance of lsx in a server: keys of its configuration, a suffix of its name, an option of its init.

/// Marks in the configuration of an instance: its stack, its name, and its definition once it is complete.
pub(super) const STACK: &str = "user.lsx.stack";
pub(super) const NAME: &str = "user.lsx.instance";
pub(super) const SPEC: &str = "user.lsx.spec";
/// The same while it is put aside.
pub(super) const WAS: &str = "user.lsx.was";
/// The recipes that have been run: stored with the instance, copied with it, and restored with a snapshot.
pub(super) const RECIPES: &str = "user.lsx.recipes";

/// Suffix of the name of an instance that was put aside: instances of a stack have no capitals.
pub(super) const ASIDE: &str = "-ASIDE";

/// The option that makes our init record how the application ended, unless it was stopped by the signal that follows.
pub(super) const NOTES: &str = " --stop ";
