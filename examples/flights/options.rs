//! The command line, by hand: an example should not need a parser from elsewhere.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use millpond::{Error, Result};

use crate::split_reader::Tamper;

/// Options of the form `--name value`, and switches.
#[derive(Debug)]
pub(crate) struct Options(Vec<(String, Option<String>)>);

impl Options {
    /// Takes arguments apart; whether the names are known is checked as they are taken.
    pub(crate) fn new(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options: Vec<(String, Option<String>)> = Vec::new();
        for argument in arguments {
            match (argument.strip_prefix("--"), options.last_mut()) {
                (Some(name), _) => options.push((name.to_owned(), None)),
                (None, Some((_, value @ None))) => *value = Some(argument),
                (None, _) => return Err(Error::invalid_input(format!("{argument:?} belongs to no option"))),
            }
        }
        Ok(Options(options))
    }

    /// Takes an option and its value, if it was given.
    pub(crate) fn take<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<Option<T>> {
        let Some(place) = self.0.iter().position(|(given, _)| given == name) else { return Ok(None) };
        let (_, value) = self.0.remove(place);
        let value = value.ok_or_else(|| Error::invalid_input(format!("--{name} lacks its value")))?;
        let wrong = |why| Error::invalid_input(format!("--{name} cannot be {value:?}: {why}"));
        value.parse().map(Some).map_err(wrong)
    }

    /// Takes an option that must be there.
    pub(crate) fn require<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<T> {
        self.take(name)?.ok_or_else(|| Error::invalid_input(format!("--{name} is missing")))
    }

    /// Takes a path that must be there.
    pub(crate) fn require_path(&mut self, name: &str) -> Result<PathBuf> {
        self.require(name)
    }

    /// Takes a switch.
    pub(crate) fn switch(&mut self, name: &str) -> Result<bool> {
        let Some(place) = self.0.iter().position(|(given, _)| given == name) else { return Ok(false) };
        match self.0.remove(place) {
            (_, None) => Ok(true),
            (_, Some(value)) => Err(Error::invalid_input(format!("--{name} takes no value, there is {value:?}"))),
        }
    }

    /// Takes `--skip N` or `--repeat N`.
    pub(crate) fn tamper(&mut self) -> Result<Option<Tamper>> {
        let skip = self.take("skip")?.map(Tamper::Skip);
        Ok(skip.or(self.take("repeat")?.map(Tamper::Repeat)))
    }

    /// Everything that was not taken, as it was given.
    pub(crate) fn rest(self) -> Vec<String> {
        self.0.into_iter().flat_map(|(name, value)| [Some(format!("--{name}")), value]).flatten().collect()
    }

    /// Fails if an option was not taken.
    pub(crate) fn finish(self) -> Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(Error::invalid_input(format!("there is no option --{name}"))),
        }
    }
}
