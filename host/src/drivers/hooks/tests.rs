//! Hooks as they are run: programs and URLs, good and bad.
