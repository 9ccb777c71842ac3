//! Walking over entries and checking snapshots, as a program does it.

mod forge;
mod verify;
mod walk;
