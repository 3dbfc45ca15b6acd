//! Laws of the simulated households and their meters.
#![expect(
    clippy::print_stdout,
    reason = "figures and notes for whoever runs the tests with --no-capture"
)]

mod exactness;
mod faults;
mod independent_reader;
mod modbus;
mod plausibility;
mod stage;
