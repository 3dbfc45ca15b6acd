//! Electricity from the sun: where the sun stands, what reaches a tilted roof, what the inverter
//! feeds.

mod irradiance;
mod plant;
mod position;

pub use irradiance::{Irradiance, clear_sky_global_w_m2};
pub use plant::{Roof, SolarPlant};
pub use position::{Daylight, SunPosition, daylight, sun_position};
