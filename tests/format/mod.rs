mod bad;
mod flink;
mod forge;
#[cfg(feature = "test-util")]
mod fuzz;
mod json;
mod manifest;
mod samples;
mod sections;
mod vectors;
