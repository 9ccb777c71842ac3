mod flink;
mod manifest;
mod samples;
mod sections;
