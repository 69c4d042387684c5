//! The platform on one machine: its data folder, the configuration of its parts, and their
//! processes.

mod children;
mod configs;
mod layout;
mod parts;

pub(crate) use children::PARENT_VARIABLE;
pub(crate) use layout::{control_folder, make_private};
pub(crate) use parts::Platform;
