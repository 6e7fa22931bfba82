//! The shell round the kernel: the one thread that turns it, the one commit of each turn, and everything
//! that follows.
//!
//! ```text
//!  doors ──> events ──> kernel.turn ──> store.commit ──> publish ──> effects, replies
//! ```
//!
//! It decides nothing: what is refused, tried again or admitted is the kernel's word.

mod door;
mod drivers;
mod error;
mod feed;
mod perform;
mod publish;
mod say;
#[cfg(test)]
mod tests;
mod turning;
mod waits;

pub use door::{Door, Inside};
pub use drivers::{Drivers, Ground};
pub use error::{CommandError, CommandErrorKind};
pub use feed::{Feed, News};
pub use perform::{Forget, Hands, Remember, UnderWay};
pub use publish::View;
pub use turning::{Ended, Shell, run};
pub use waits::tell_waits;
