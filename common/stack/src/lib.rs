//! The stack document: written by a person; every tool derives the same values from it.

pub mod compose;
mod decode;
pub mod failure;
mod lstacker;
mod model;
mod only;
pub mod printable;
mod read;
mod resolve;
pub mod resolved;
mod rules;
mod schema;
mod section;
mod tree;
pub mod unbuilt;
mod value;
mod warning;

pub use decode::{HOST_MTU, hint};
pub use failure::{Failure, Failures, Kind, Place};
pub use model::{
    Allow, Defaults, File, Granted, Host, Image, Instance, Limits, Monitoring, Mount, Network, Nic, PortMap,
    Proxy, Ready, RecipeValue, RegistryAccess, Stack, Tmpfs, resolved_document,
};
pub use only::{Only, known};
pub use read::{ReadOptions, located, read, text_at};
pub use resolve::{LinkKind, link_prefix, resolve};
pub use resolved::{Resolved, Selector};
pub use schema::schema;
pub use section::*;
pub use value::{
    Banner, Clock, Cpus, Driver, Duration, Http, Pace, Percent, PortSpec, Protocol, Range, Rate, Restart,
    Rlimit, Select, Signal, Size, Switch, Tunnel, generation,
};
pub use warning::Warning;
