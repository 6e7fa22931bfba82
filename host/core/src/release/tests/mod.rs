//! The sentences of the document on automatic extension upgrades, each with its line there, and what else a release
//! promises.

mod people;
mod regions;
mod seeded;
mod versions;
mod world;
