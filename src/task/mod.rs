//! The data plane of one subtask: what a running operator instance does with records, barriers and notifications.
//!
//! Vocabulary. A subtask reads several *inputs* (channels), numbered from 0. A *barrier* travels in each of them between
//! the records and separates what belongs to a checkpoint from what comes after it. *Alignment* waits until the barrier
//! of one checkpoint has come through every input. *Channel state* is the records that an unaligned barrier overtook.
//!
//! [`barrier`] decides and does nothing; [`gate`] adds the queues that a job needs which cannot stop reading one input.

pub mod barrier;
pub mod gate;

pub use crate::checkpoint::barrier::{Alignment, Barrier, Delivery};
pub use barrier::{AbortReason, Admission, BarrierHandler, Step};
pub use gate::{Element, Gate, Output};
