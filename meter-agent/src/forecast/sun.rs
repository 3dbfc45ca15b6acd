//! The sun's height, and the light that reaches the ground.

use market::time::Timestamp;

use crate::forecast::surroundings::Place;

/// 2000-01-01 12:00 UTC in milliseconds after 1970.
const J2000_MS: i64 = 946_728_000_000;
const DAY_MS: f64 = 86_400_000.0;

/// Light on level ground under a clear sky, in W/m²: Haurwitz 1945, in the form that Reno, Hansen and
/// Stein, SAND2012-2389, found the best of those that need no input but the sun's height.
pub(super) fn clear_sky_w_m2(place: Place, at: Timestamp) -> f64 {
    let cos_zenith = sin_elevation(place, at);
    if cos_zenith <= 0.0 { 0.0 } else { 1_098.0 * cos_zenith * (-0.059 / cos_zenith).exp() }
}

/// The share of a clear sky's light that clouds let through: Kasten and Czeplak 1980, Solar Energy
/// 24, 177-189.
pub(super) fn through_clouds(cover: f64) -> f64 {
    1.0 - 0.75 * cover.clamp(0.0, 1.0).powf(3.4)
}

/// The sine of the sun's height: the Astronomical Almanac's low-precision formula as given by
/// Michalsky 1988, Solar Energy 40, 227-235; good to 0.01 degrees.
fn sin_elevation(place: Place, at: Timestamp) -> f64 {
    let days = at.millis_since(Timestamp::from_millis(J2000_MS)) as f64 / DAY_MS;
    let mean_longitude = 280.460 + 0.985_647_4 * days;
    let anomaly = (357.528 + 0.985_600_3 * days).to_radians();
    let longitude =
        (mean_longitude + 1.915 * anomaly.sin() + 0.020 * (2.0 * anomaly).sin()).to_radians();
    let obliquity = (23.439 - 0.000_000_4 * days).to_radians();
    let declination = (obliquity.sin() * longitude.sin()).asin();
    let ascension = (obliquity.cos() * longitude.sin()).atan2(longitude.cos());
    let greenwich_hours = 6.697_375 + 0.065_709_824_2 * days + 24.0 * (days + 0.5).rem_euclid(1.0);
    let sidereal = (greenwich_hours * 15.0 + place.longitude_deg).to_radians();
    let hour_angle = sidereal - ascension;
    let latitude = place.latitude_deg.to_radians();
    declination.sin() * latitude.sin() + declination.cos() * latitude.cos() * hour_angle.cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elevation_deg(latitude_deg: f64, longitude_deg: f64, at: &str) -> f64 {
        let at: jiff::Timestamp = at.parse().unwrap();
        let at = Timestamp::from_millis(at.as_millisecond());
        sin_elevation(Place { latitude_deg, longitude_deg }, at).asin().to_degrees()
    }

    #[test]
    fn the_sun_stands_where_almanacs_say() {
        // Noon at the solstices: 90 - latitude +- 23.44 degrees.
        let noon = elevation_deg(48.0, 0.0, "2026-06-21T12:02:00Z");
        assert!((noon - (90.0 - 48.0 + 23.44)).abs() < 0.05, "{noon}");
        let noon = elevation_deg(48.0, 0.0, "2026-12-21T11:58:00Z");
        assert!((noon - (90.0 - 48.0 - 23.44)).abs() < 0.05, "{noon}");
        // Tokyo is nine and a third hours ahead.
        assert!(elevation_deg(35.68, 139.77, "2026-06-21T02:43:00Z") > 77.0);
        assert!(elevation_deg(35.68, 139.77, "2026-06-21T14:43:00Z") < -20.0);
    }

    #[test]
    fn clouds_dim_and_never_brighten() {
        assert!((through_clouds(0.0) - 1.0).abs() < 1e-12);
        assert!((through_clouds(1.0) - 0.25).abs() < 1e-12);
        assert!(through_clouds(0.5) > 0.9);
    }
}
