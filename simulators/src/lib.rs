//! Simulated meters, households, weather, faults and whole neighbourhoods.
//!
//! | module | what it simulates |
//! |---|---|
//! | [`place`], [`weather`], [`solar`] | where the neighbourhood lies, its clouds, its roofs |
//! | [`appliances`], [`battery`] | what people do at home, and the battery in the cellar |
//! | [`household`] | all of it together, carried forward in market time; a whole street of them |
//! | [`meter`] | the counters at the grid connection, and their Modbus words |
//! | [`modbus_server`], [`faults`] | the meter on Modbus TCP, and what goes wrong with it |
//! | [`simulated_meter`] | one such meter as a service of its own |
//! | [`scaled_clock`] | market time that runs faster than the wall's |
//! | [`ledger_bench`] | four validators under as much load as they bear |
//! | [`demo`] | a whole neighbourhood of real processes around simulated meters |
//!
//! Everything is seeded ([`random`]): the same seed gives the same series, whoever asks and
//! whenever. Physics is in floating point up to the power of one step; from there on energy is
//! counted in integers ([`power`]).

pub mod appliances;
pub mod battery;
pub mod demo;
pub mod error;
pub mod faults;
pub mod household;
pub mod ledger_bench;
pub mod meter;
pub mod modbus_server;
pub mod place;
pub mod power;
pub mod random;
pub mod scaled_clock;
pub mod simulated_meter;
pub mod solar;
pub mod weather;

pub use error::SimulatorError;
