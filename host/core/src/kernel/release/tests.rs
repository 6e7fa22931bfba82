//! Releases in a whole kernel: sets in several regions, drivers that answer, probes that tell what runs.

mod again;
mod back;
mod besides;
mod course;
mod estate;
mod group;
mod people;
mod plans;
mod silence;
mod stuck;
mod versions;
