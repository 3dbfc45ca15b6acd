//! Sunlight on the ground and on a tilted roof.
//!
//! Three textbook models, each a few lines:
//! - Clear sky: B. Haurwitz, "Insolation in relation to cloudiness and cloud density", J.
//!   Meteorol. 2 (1945) 154, in the form that Reno, Hansen and Stein, SAND2012-2389, found the
//!   best of those that need no input but the sun's height.
//! - Direct and diffuse: Erbs, Klein and Duffie, Solar Energy 28 (1982) 293-302.
//! - Tilted plane: Liu and Jordan, Solar Energy 7 (1963) 53-74: isotropic sky, ground albedo 0.2.

/// The mean of sunlight outside of the atmosphere, W/m2 (Kopp and Lean 2011).
const SOLAR_CONSTANT_W_M2: f64 = 1_361.0;
/// Share of light that grass and roofs around reflect.
const GROUND_ALBEDO: f64 = 0.2;
/// Below this height (3 degrees) the direct part is taken as nothing: the quotient that gives it
/// grows without bound while houses and trees hide the sun.
const LOWEST_DIRECT_COS_ZENITH: f64 = 0.052;

/// Sunlight reaching the ground, split into its parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Irradiance {
    /// On a horizontal plane, W/m2.
    pub global_w_m2: f64,
    /// From the whole sky but the sun's disc, on a horizontal plane, W/m2.
    pub diffuse_w_m2: f64,
    /// From the sun's disc, on a plane that faces it, W/m2.
    pub direct_normal_w_m2: f64,
}

/// Irradiance of a horizontal plane under a clear sky, W/m2 (Haurwitz).
///
/// `cos_zenith` is the cosine of the angle between the sun and straight up.
#[must_use]
pub fn clear_sky_global_w_m2(cos_zenith: f64) -> f64 {
    if cos_zenith <= 0.0 {
        return 0.0;
    }
    1_098.0 * cos_zenith * (-0.059 / cos_zenith).exp()
}

impl Irradiance {
    /// Darkness.
    pub const NONE: Self = Self { global_w_m2: 0.0, diffuse_w_m2: 0.0, direct_normal_w_m2: 0.0 };

    /// Splits the irradiance of a horizontal plane into direct and diffuse light (Erbs).
    #[must_use]
    pub fn split(global_w_m2: f64, cos_zenith: f64, day_of_year: i16) -> Self {
        if cos_zenith <= 0.0 || global_w_m2 <= 0.0 {
            return Self::NONE;
        }
        let year_angle = f64::from(day_of_year) / 365.0 * std::f64::consts::TAU;
        let outside_w_m2 = SOLAR_CONSTANT_W_M2 * (1.0 + 0.033 * year_angle.cos());
        let clearness = (global_w_m2 / (outside_w_m2 * cos_zenith)).min(1.0);
        let diffuse_w_m2 = global_w_m2 * erbs_diffuse_share(clearness);
        let direct_normal_w_m2 = if cos_zenith < LOWEST_DIRECT_COS_ZENITH {
            0.0
        } else {
            (global_w_m2 - diffuse_w_m2) / cos_zenith
        };
        Self { global_w_m2, diffuse_w_m2, direct_normal_w_m2 }
    }

    /// Irradiance of a plane tilted by the angle of cosine `cos_tilt` that the sun meets under the
    /// angle of cosine `cos_incidence`, W/m2 (Liu and Jordan).
    #[must_use]
    pub fn on_plane_w_m2(&self, cos_incidence: f64, cos_tilt: f64) -> f64 {
        let direct = self.direct_normal_w_m2 * cos_incidence.max(0.0);
        let sky = self.diffuse_w_m2 * (1.0 + cos_tilt) / 2.0;
        let ground = self.global_w_m2 * GROUND_ALBEDO * (1.0 - cos_tilt) / 2.0;
        direct + sky + ground
    }
}

fn erbs_diffuse_share(clearness: f64) -> f64 {
    let k = clearness;
    if k <= 0.22 {
        1.0 - 0.09 * k
    } else if k <= 0.80 {
        0.9511 + k * (-0.1604 + k * (4.388 + k * (-16.638 + k * 12.336)))
    } else {
        0.165
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clear_sky_grows_with_the_sun_and_is_dark_at_night() {
        assert!(clear_sky_global_w_m2(-0.1).abs() < f64::EPSILON);
        assert!(clear_sky_global_w_m2(0.0).abs() < f64::EPSILON);
        let mut last = 0.0;
        for step in 1..=100 {
            let now = clear_sky_global_w_m2(f64::from(step) / 100.0);
            assert!(now > last);
            last = now;
        }
        // Zenith sun: 1098 * exp(-0.059).
        assert!((last - 1_035.1).abs() < 0.1, "{last}");
    }

    #[test]
    fn the_parts_add_up_to_the_whole() {
        for cos_zenith in [0.1, 0.3, 0.6, 0.9] {
            for share in [0.1, 0.4, 0.8, 1.0] {
                let global = share * clear_sky_global_w_m2(cos_zenith);
                let light = Irradiance::split(global, cos_zenith, 100);
                let sum = light.diffuse_w_m2 + light.direct_normal_w_m2 * cos_zenith;
                assert!((sum - global).abs() < 1e-9);
                // A level plane sees exactly the global irradiance.
                assert!((light.on_plane_w_m2(cos_zenith, 1.0) - global).abs() < 1e-9);
                assert!(light.direct_normal_w_m2 < SOLAR_CONSTANT_W_M2);
            }
        }
    }

    #[test]
    fn an_overcast_sky_is_nearly_all_diffuse_and_a_clear_one_nearly_all_direct() {
        let clear = clear_sky_global_w_m2(0.8);
        let overcast = Irradiance::split(0.2 * clear, 0.8, 180);
        assert!(overcast.diffuse_w_m2 / overcast.global_w_m2 > 0.95);
        let blue = Irradiance::split(clear, 0.8, 180);
        assert!(blue.diffuse_w_m2 / blue.global_w_m2 < 0.25);
    }
}
