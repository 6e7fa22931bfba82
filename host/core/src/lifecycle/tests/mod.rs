//! Lives of plugins with hands that a test moves, and, in `world`, with hands of every kind.

mod circuit;
mod desk;
mod pipeline;
mod reloads;
mod returns;
mod rng;
mod starts;
mod trials;
mod world;
