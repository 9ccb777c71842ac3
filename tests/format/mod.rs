mod bad;
pub(crate) mod flink;
mod forge;
mod json;
mod manifest;
mod samples;
mod sections;
mod vectors;
