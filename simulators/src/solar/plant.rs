//! A household's solar plant: roofs, and the inverter behind them.

use market::time::Timestamp;

use super::irradiance::{Irradiance, clear_sky_global_w_m2};
use super::position::{SunPosition, sun_position};
use crate::place::{LocalDay, Place};
use crate::power::{STEP_S, milliwatts};
use crate::weather::SkyDay;

/// Share of module power left after wiring, mismatch, soiling, reflection and some shade.
const REMAINING_AFTER_LOSSES: f64 = 0.85;
/// Conversion efficiency of the inverter (Euro-weighted, typical of 3-10 kW string inverters).
const INVERTER_EFFICIENCY: f64 = 0.965;
/// Power that the inverter needs for itself before it feeds in, share of its limit.
const INVERTER_OWN_USE: f64 = 0.004;
/// Loss of module power per kelvin above 25 degrees Celsius (crystalline silicon).
const POWER_PER_KELVIN: f64 = -0.0037;
/// Module temperature above air per W/m2, from a nominal operating temperature of 45 degrees.
const KELVIN_PER_W_M2: f64 = (45.0 - 20.0) / 800.0;
/// Irradiance at which a module gives its peak power, W/m2.
const STANDARD_W_M2: f64 = 1_000.0;

/// One plane of modules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roof {
    /// Power of the modules under standard test conditions, W.
    pub peak_w: f64,
    /// Angle between the modules and the horizontal, degrees, 0..=90.
    pub tilt_deg: f64,
    /// Direction that the modules face, degrees clockwise from north: 90 east, 180 south, 270 west.
    pub azimuth_deg: f64,
}

/// All modules of a household and their inverter.
#[derive(Clone, Debug, PartialEq)]
pub struct SolarPlant {
    /// The planes, at least one.
    pub roofs: Vec<Roof>,
    /// Most that the inverter feeds, W; sunshine beyond it is clipped.
    pub inverter_limit_w: f64,
}

impl SolarPlant {
    /// Module power of all roofs, W.
    #[must_use]
    pub fn peak_w(&self) -> f64 {
        self.roofs.iter().map(|roof| roof.peak_w).sum()
    }

    /// Power fed by the inverter over one local day, in mW, one value per simulation step.
    #[must_use]
    pub fn day_series_mw(&self, place: &Place, day: &LocalDay, sky: &SkyDay) -> Vec<i32> {
        let mut series = Vec::new();
        let mut planes = Vec::with_capacity(self.roofs.len());
        let mut minute = i64::MIN;
        let mut cos_zenith = 0.0;
        for second in (0..day.length_s()).step_by(STEP_S) {
            if second / 60 != minute {
                minute = second / 60;
                let middle_ms = day.start().as_millis() + (minute * 60 + 30) * 1_000;
                let sun = sun_position(place, Timestamp::from_millis(middle_ms));
                cos_zenith = sun.elevation_deg.to_radians().sin();
                planes.clear();
                planes.extend(self.roofs.iter().map(|roof| roof.seen_from(sun)));
            }
            let watts = if cos_zenith <= 0.0 {
                0.0
            } else {
                let seconds = second as f64;
                let global = sky.clear_sky_index(seconds) * clear_sky_global_w_m2(cos_zenith);
                let light = Irradiance::split(global, cos_zenith, day.day_of_year());
                self.fed_w(&planes, &light, sky.air_temperature_c(seconds))
            };
            series.push(milliwatts(watts));
        }
        series
    }

    fn fed_w(&self, planes: &[Plane], light: &Irradiance, air_c: f64) -> f64 {
        let modules_w: f64 = planes
            .iter()
            .map(|plane| {
                let received = light.on_plane_w_m2(plane.cos_incidence, plane.cos_tilt);
                let module_c = air_c + received * KELVIN_PER_W_M2;
                let warmth = 1.0 + POWER_PER_KELVIN * (module_c - 25.0);
                plane.peak_w * received / STANDARD_W_M2 * warmth
            })
            .sum();
        self.inverted_w(modules_w * REMAINING_AFTER_LOSSES)
    }

    fn inverted_w(&self, direct_current_w: f64) -> f64 {
        let own_use_w = INVERTER_OWN_USE * self.inverter_limit_w;
        let fed_w = (direct_current_w - own_use_w) * INVERTER_EFFICIENCY;
        fed_w.clamp(0.0, self.inverter_limit_w.max(0.0))
    }
}

/// A roof as the sun of one moment meets it.
struct Plane {
    peak_w: f64,
    cos_tilt: f64,
    cos_incidence: f64,
}

impl Roof {
    fn seen_from(&self, sun: SunPosition) -> Plane {
        let (sin_tilt, cos_tilt) = self.tilt_deg.to_radians().sin_cos();
        let (sin_elevation, cos_elevation) = sun.elevation_deg.to_radians().sin_cos();
        let turned = (sun.azimuth_deg - self.azimuth_deg).to_radians();
        Plane {
            peak_w: self.peak_w,
            cos_tilt,
            cos_incidence: sin_elevation * cos_tilt + cos_elevation * sin_tilt * turned.cos(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plant() -> SolarPlant {
        SolarPlant {
            roofs: vec![Roof { peak_w: 8_000.0, tilt_deg: 35.0, azimuth_deg: 180.0 }],
            inverter_limit_w: 6_000.0,
        }
    }

    #[test]
    fn the_inverter_clips_and_never_takes() {
        assert!((plant().inverted_w(20_000.0) - 6_000.0).abs() < 1e-9);
        assert!(plant().inverted_w(0.0).abs() < 1e-9);
        assert!(plant().inverted_w(3_000.0) < 3_000.0 * INVERTER_EFFICIENCY);
    }

    #[test]
    fn a_roof_facing_the_sun_gets_it_at_right_angles() {
        let roof = Roof { peak_w: 1.0, tilt_deg: 40.0, azimuth_deg: 180.0 };
        let facing = roof.seen_from(SunPosition { elevation_deg: 50.0, azimuth_deg: 180.0 });
        assert!((facing.cos_incidence - 1.0).abs() < 1e-12);
        let behind = roof.seen_from(SunPosition { elevation_deg: 10.0, azimuth_deg: 0.0 });
        assert!(behind.cos_incidence < 0.0);
    }
}
