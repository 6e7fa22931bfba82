//! Records: written, read, judged again.
