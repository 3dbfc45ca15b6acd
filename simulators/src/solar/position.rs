//! The sun's place in the sky.
//!
//! The Astronomical Almanac's low-precision formula as given by J. J. Michalsky, "The Astronomical
//! Almanac's algorithm for approximate solar position (1950-2050)", Solar Energy 40 (1988) 227-235:
//! good to 0.01 degrees within those years. Refraction (0.5 degrees at the horizon, 0.02 at 40
//! degrees) is left out: it moves a few seconds of the day's first and last light.

use market::time::Timestamp;

use crate::place::Place;

/// Julian date 2451545.0 (2000-01-01 12:00 UTC) in milliseconds after 1970.
const J2000_MS: i64 = 946_728_000_000;
const MS_PER_DAY: f64 = 86_400_000.0;

/// Where the sun stands, seen from a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SunPosition {
    /// Height above the horizon in degrees, -90..=90, without refraction.
    pub elevation_deg: f64,
    /// Direction in degrees clockwise from north, 0..360.
    pub azimuth_deg: f64,
}

/// The lit part of the day that contains an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Daylight {
    /// The sun does not rise.
    PolarNight,
    /// The sun does not set.
    PolarDay,
    /// The sun is up between these instants.
    Between {
        /// Sunrise (centre of the disc at the horizon).
        sunrise: Timestamp,
        /// Sunset.
        sunset: Timestamp,
    },
}

/// Where the sun stands at an instant, seen from `place`.
#[must_use]
pub fn sun_position(place: &Place, at: Timestamp) -> SunPosition {
    let sky = Equatorial::at(at);
    let hour_angle = (sky.hour_angle_deg(place.longitude_deg())).to_radians();
    let latitude = place.latitude_deg().to_radians();
    let declination = sky.declination;

    let sin_elevation =
        declination.sin() * latitude.sin() + declination.cos() * latitude.cos() * hour_angle.cos();
    let elevation = sin_elevation.clamp(-1.0, 1.0).asin();
    // The two components of the sun's horizontal direction: no quadrant to sort out afterwards.
    let east = -declination.cos() * hour_angle.sin();
    let north =
        declination.sin() * latitude.cos() - declination.cos() * latitude.sin() * hour_angle.cos();
    SunPosition {
        elevation_deg: elevation.to_degrees(),
        azimuth_deg: east.atan2(north).to_degrees().rem_euclid(360.0),
    }
}

/// Sunrise and sunset around the sun's highest stand nearest to `noon`.
///
/// The declination of `noon` stands for the whole day: right to a minute or two.
#[must_use]
pub fn daylight(place: &Place, noon: Timestamp) -> Daylight {
    let sky = Equatorial::at(noon);
    let cos_half_day = -place.latitude_deg().to_radians().tan() * sky.declination.tan();
    if cos_half_day >= 1.0 {
        return Daylight::PolarNight;
    }
    if cos_half_day <= -1.0 {
        return Daylight::PolarDay;
    }
    let ms_per_degree = MS_PER_DAY / 360.0;
    let highest = -sky.hour_angle_deg(place.longitude_deg()) * ms_per_degree;
    let half_day = cos_half_day.acos().to_degrees() * ms_per_degree;
    Daylight::Between {
        sunrise: later(noon, highest - half_day),
        sunset: later(noon, highest + half_day),
    }
}

fn later(instant: Timestamp, offset_ms: f64) -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "an offset of at most one day")]
    let offset_ms = offset_ms as i64;
    Timestamp::from_millis(instant.as_millis() + offset_ms)
}

/// The sun in equatorial coordinates.
struct Equatorial {
    /// Right ascension, degrees.
    right_ascension_deg: f64,
    /// Declination, radians.
    declination: f64,
    /// Sidereal time at Greenwich, degrees.
    sidereal_deg: f64,
}

impl Equatorial {
    fn at(at: Timestamp) -> Self {
        let since_noon_2000_ms = at.as_millis() - J2000_MS;
        let days = since_noon_2000_ms as f64 / MS_PER_DAY;
        let mean_longitude_deg = 280.460 + 0.985_647_4 * days;
        let mean_anomaly = (357.528 + 0.985_600_3 * days).to_radians();
        let ecliptic_longitude =
            (mean_longitude_deg + 1.915 * mean_anomaly.sin() + 0.020 * (2.0 * mean_anomaly).sin())
                .to_radians();
        let obliquity = (23.439 - 0.000_000_4 * days).to_radians();

        let right_ascension =
            (obliquity.cos() * ecliptic_longitude.sin()).atan2(ecliptic_longitude.cos());
        let declination = (obliquity.sin() * ecliptic_longitude.sin()).asin();
        let utc_hour = at.as_millis().rem_euclid(86_400_000) as f64 / 3_600_000.0;
        let sidereal_hour = 6.697_375 + 0.065_709_824_2 * days + utc_hour;
        Self {
            right_ascension_deg: right_ascension.to_degrees(),
            declination,
            sidereal_deg: sidereal_hour * 15.0,
        }
    }

    /// Hour angle at a longitude in degrees, -180..180, afternoon positive.
    fn hour_angle_deg(&self, longitude_deg: f64) -> f64 {
        let turned = self.sidereal_deg + longitude_deg - self.right_ascension_deg;
        (turned + 180.0).rem_euclid(360.0) - 180.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> Timestamp {
        let at: jiff::Timestamp = text.parse().expect("an instant");
        Timestamp::from_millis(at.as_millisecond())
    }

    #[test]
    fn agrees_with_the_worked_example_of_nrel_spa() {
        // Reda and Andreas, NREL/TP-560-34302 (2008), appendix A.5: 2003-10-17 12:30:30 UTC-7,
        // 39.742476 N 105.1786 W: azimuth 194.34024, elevation before refraction 39.872046 degrees.
        let golden = Place::new(39.742_476, -105.178_6, "America/Denver").expect("a place");
        let sun = sun_position(&golden, instant("2003-10-17T19:30:30Z"));
        assert!((sun.azimuth_deg - 194.340_24).abs() < 0.02, "{sun:?}");
        assert!((sun.elevation_deg - 39.872_046).abs() < 0.02, "{sun:?}");
    }

    #[test]
    fn agrees_with_the_worked_example_of_meeus() {
        // Meeus, Astronomical Algorithms, example 25.a: 1992-10-13 0 h dynamical time (59 s before
        // UTC): apparent right ascension 198.38083, declination -7.78507 degrees.
        let sky = Equatorial::at(instant("1992-10-12T23:59:01Z"));
        assert!((sky.right_ascension_deg.rem_euclid(360.0) - 198.380_83).abs() < 0.01);
        assert!((sky.declination.to_degrees() + 7.785_07).abs() < 0.01);
    }

    #[test]
    fn the_sun_stands_overhead_where_solstice_and_equinox_say() {
        let declination = |text| Equatorial::at(instant(text)).declination.to_degrees();
        // Instants of 2024 from the Astronomical Almanac.
        assert!(declination("2024-03-20T03:06:00Z").abs() < 0.01);
        assert!((declination("2024-06-20T20:51:00Z") - 23.436).abs() < 0.01);
        assert!((declination("2024-12-21T09:20:00Z") + 23.436).abs() < 0.01);
    }

    #[test]
    fn daylight_is_when_the_sun_is_up() {
        let munich = Place::new(48.14, 11.58, "Europe/Berlin").expect("a place");
        for noon in ["2026-01-15T11:00:00Z", "2026-06-21T11:00:00Z", "2026-09-23T11:00:00Z"] {
            let Daylight::Between { sunrise, sunset } = daylight(&munich, instant(noon)) else {
                panic!("the sun rises and sets in Munich");
            };
            assert!(sunrise < instant(noon) && instant(noon) < sunset);
            for edge in [sunrise, sunset] {
                let elevation_deg = sun_position(&munich, edge).elevation_deg;
                assert!(elevation_deg.abs() < 0.5, "{noon}: {elevation_deg}");
            }
        }
        let north = Place::new(78.2, 15.6, "Arctic/Longyearbyen").expect("a place");
        assert_eq!(daylight(&north, instant("2026-06-21T11:00:00Z")), Daylight::PolarDay);
        assert_eq!(daylight(&north, instant("2026-12-21T11:00:00Z")), Daylight::PolarNight);
    }
}
