//! Calling, as its people live through it.

mod model;
mod presence;
mod ringing;
mod scene;
