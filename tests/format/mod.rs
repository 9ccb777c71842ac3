mod flink;
