//! Tests of the step function.
