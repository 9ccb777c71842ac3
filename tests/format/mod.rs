mod bad;
mod control;
pub(crate) mod flink;
mod forge;
mod json;
mod manifest;
pub(crate) mod samples;
mod sections;
mod vectors;
