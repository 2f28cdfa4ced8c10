//! Flags of the shared verbs that only some tools have. The others refuse them, since they would do nothing there.

use crate::tool::{Risk, Tool};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use std::marker::PhantomData;

/// What a plan may do besides what it always may: the flags of [`Tool::RISKS`].
#[derive(Clone, Debug)]
pub struct RiskArgs<T> {
    /// What is accepted.
    pub(crate) accepted: Vec<Risk>,
    tool: PhantomData<fn() -> T>,
}

impl<T> Default for RiskArgs<T> {
    fn default() -> Self {
        Self::from([])
    }
}

impl<T, const N: usize> From<[Risk; N]> for RiskArgs<T> {
    fn from(accepted: [Risk; N]) -> Self {
        Self { accepted: accepted.into(), tool: PhantomData }
    }
}

impl<T: Tool> FromArgMatches for RiskArgs<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |risk: &Risk| matches.get_flag(risk.flag());
        Ok(Self { accepted: T::RISKS.iter().copied().filter(given).collect(), tool: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        Self::from_arg_matches(matches).map(|args| *self = args)
    }
}

impl<T: Tool> Args for RiskArgs<T> {
    fn augment_args(command: Command) -> Command {
        command.args(
            T::RISKS.iter().map(|risk| {
                Arg::new(risk.flag()).long(risk.flag()).help(risk.help()).action(ArgAction::SetTrue)
            }),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Whether `down` removes data, too: of a tool with [`Tool::DATA`].
#[derive(Clone, Debug)]
pub struct DataArgs<T> {
    /// The name of the stack, to confirm it.
    pub(crate) of: Option<String>,
    tool: PhantomData<fn() -> T>,
}

/// Id and name of the flag.
const DATA: (&str, &str) = ("destroy_data", "destroy-data");

impl<T> Default for DataArgs<T> {
    fn default() -> Self {
        Self { of: None, tool: PhantomData }
    }
}

impl<T: Tool> FromArgMatches for DataArgs<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let of = matches.try_get_one::<String>(DATA.0).ok().flatten();
        Ok(Self { of: of.cloned(), tool: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        Self::from_arg_matches(matches).map(|args| *self = args)
    }
}

impl<T: Tool> Args for DataArgs<T> {
    fn augment_args(command: Command) -> Command {
        if !T::DATA {
            return command;
        }
        let help = "With `down`: remove the data, too; repeat the stack's name to confirm";
        command.arg(Arg::new(DATA.0).long(DATA.1).value_name("STACK").help(help))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
