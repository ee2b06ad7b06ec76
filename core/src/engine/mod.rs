//! Judging one message: its text through the views, the matcher and the rules.

pub mod views;
